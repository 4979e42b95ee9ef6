// Package callers is service mode: the clients that a file lists ask authentik with the service's own
// token instead of theirs. It recognises a client by the hash of its token, rereads both files when they
// change, and keeps the last good content of a file that became bad.
//
// Its errors name the setting and the line at fault and never repeat what a file holds. It knows nothing
// of GraphQL and makes no request.
package callers

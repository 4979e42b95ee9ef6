// Package grants reads and revokes authentik's grants through the cache: it is the one place where cache and
// upstream meet. A caller only ever gets what authentik gave for that caller's own credential, without the
// redacted fields, which no cache holds. A token that authentik does not accept costs it few calls.
//
// It knows nothing of GraphQL and HTTP.
package grants

// Package httpserver serves the GraphQL endpoint to clients, and metrics, probes and profiles to operators on a
// listener of their own. It bounds connections, request bodies and request rates, tells callers apart, logs one
// line per request, and drains before it stops.
//
// No middleware reads a body before its limit is set, and a client gets a response to every request, also to
// those that are refused or panic. The package knows nothing of authentik's resources or of settings.
package httpserver

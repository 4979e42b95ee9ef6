// Package graph executes GraphQL over HTTP: the transport, the resolvers, the mapping from domain values to
// the schema's types, plans that replace gqlgen's code for most queries, and the form of errors. It
// decides all that a client sees: error codes, freshness headers and limits.
//
// It reads through a [GrantSource], and finds the state of a request, a [Request], in the context. It knows
// neither the cache nor how authentik is called.
package graph

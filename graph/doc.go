// Package graph is the GraphQL side of the service: the generated executor, the resolvers, the
// mapping from domain values to GraphQL types, and the rules of GraphQL over HTTP.
//
// It consumes a [GrantSource] and the facts of one HTTP request, a [Request], from the context. It
// owns what a client sees: error codes, freshness headers, limits and the Playground.
package graph

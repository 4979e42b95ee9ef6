// Package responsecache replays whole HTTP responses. A request that repeats an earlier one of the same
// caller, byte for byte, gets the earlier response while every read behind it would still give the same
// value, fresh. So a cached response is as safe as the cached values it was made of.
//
// It is ordinary middleware: it knows nothing of GraphQL or authentik, and checks no origin and no limit.
package responsecache

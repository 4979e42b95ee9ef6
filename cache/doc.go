// Package cache is a read-through cache, in memory and in Redis, of values that only one caller may see.
//
//   - Isolation: every key contains the digest of the caller's credential, and so does every entry, flight,
//     lease and name in Redis. No two credentials share anything.
//   - Freshness: no value is returned that is older than [Policy] allows, past its end, or stale after a denial.
//   - One load: at most one load of a key runs at a time, in all processes that share Redis.
//   - Revocation: no read returns a revoked resource, and no load that began earlier puts it back. A process
//     that may have missed a revocation asks Redis; if that fails, it uses only what is fresh.
//   - Secrecy: values in Redis are sealed under a key of the caller's own, and names are keyed hashes.
//   - Availability: whatever happens to Redis costs a bounded wait and a load, never an error.
//
// The flow of a read is in cache.go, that of a load in fetch.go; policy.go decides by pure functions what may
// be used. The package knows neither authentik nor GraphQL.
package cache

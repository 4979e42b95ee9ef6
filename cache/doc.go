// Package cache is a read-through cache of values that only one caller may see.
//
// It guarantees:
//
//   - Isolation. A [Key] can only be made with the digest of the credential that goes upstream, so
//     no entry, failure, flight, lease or Redis value is ever shared by two credentials.
//   - Freshness. A value is given out as fresh for [Policy.TTL] after it was fetched and, if it ends
//     of itself later than that, never past its end. Stale it is given out only within the windows of
//     [Policy], marked as such, and never after a denial or a revocation that this process can know.
//   - One load. A key is loaded once at a time, in this process by a flight and in all processes by a
//     lease in Redis, whose outcome, value or error, is shared.
//   - Revocation. A revoked row is gone for every caller, and a load that began before puts nothing
//     back: memory, reads and stores all look for the tombstone. Where it may not have been heard of,
//     Redis is asked on each read; where that fails, only what is fresh is given out.
//   - Secrecy. Nothing goes to Redis but under AES-256-GCM, with a key of its own for each caller;
//     the names there are keyed hashes that show neither id nor token, and each has a time to live.
//   - Failure means miss. Redis being slow, gone, full, read-only or full of foreign values costs a
//     bounded wait and a load, never an error to the caller; after some failures it costs no wait.
//
// An [Entry] is what the origin said of a key: a value, a denial or a failure. policy.go decides by
// pure functions what it is good for at a moment. The order of steps lives in cache.go alone:
// [Cache.Get] for the memory and the flight, then fetch, lease and load in the flight.
//
// It knows neither authentik nor GraphQL.
package cache

// Package cache is a read-through cache of values that only one caller may see.
//
// It guarantees:
//
//   - Isolation. A [Key] can only be made with the digest of the credential that goes upstream, so
//     no entry, flight or Redis value is ever shared by two credentials.
//   - Freshness. A value is given out for [Policy.TTL] after it was fetched and, if it ends of
//     itself later than that, never past its end. Errors are not kept.
//   - Secrecy. Nothing goes to Redis but under AES-256-GCM, with a key of its own for each caller;
//     the names there are keyed hashes that show neither id nor token.
//   - Failure means miss. Redis being slow, gone or full of foreign values costs a bounded wait and
//     a load, never an error to the caller.
//
// It knows neither authentik nor GraphQL. The order of steps lives in [Cache.Get] alone.
package cache

// Package upstream calls authentik's REST API. It turns each answer into a value of our types or into one
// typed [Error]. It knows neither GraphQL nor caches; the names of the schema's fields in its tags are for
// redaction alone.
//
// The types are in grant.go, provider.go and user.go. Decoding, storage and redaction follow from the tags of
// their fields: "json" is the name that authentik sends, "schema" the name in the schema where that is not
// the same in camel case. A time is omitempty, for year 1 is its zero and a time that authentik sends.
// fetch.go fetches any [Endpoint], list.go parts of lists. keys.go counts the keys that authentik's answers lack, and
// those that no field is for.
//
// What authentik promises differs by release, 2023.10 to 2026.8, and every release departs from its own
// OpenAPI document. The rules here follow what running releases do:
//
//   - Only pk, provider.pk and user.pk are required. Everything else may be absent or null, and an optional
//     field of an unexpected form is dropped and counted, never fatal.
//   - redirect_uris is a text up to 2024.8.4 and a list later; jwks_sources was renamed
//     jwt_federation_sources, and backchannel_logout_uri became logout_uri.
//   - 401 is never sent. 403 means "credential rejected" or "not allowed", and only a few exact texts tell
//     the two apart. 404 means unknown, not the caller's, or that no token arrived.
//   - Errors are JSON of a few forms. Proxies use the same statuses for pages of their own.
//   - Ids such as 01, +1 or a full-width 1 all answer with row 1, so an id is parsed strictly before it is
//     sent or becomes a cache key.
//   - A token with a character outside ASCII makes authentik fail with 500, so it is refused here.
//   - authentik has no time-out, or one of minutes, so the client has its own.
//
// The client protects an authentik in trouble: a bounded number of calls runs at once and another bounded
// number waits, passing failures are retried within the one time-out, and a circuit breaker rejects calls
// while half of them fail. See policy.go and breaker.go.
package upstream

// Package upstream speaks to authentik's REST API and turns its answers into our domain types or
// into one typed [Error]. It knows neither GraphQL nor caches.
//
// What authentik promises differs by release, 2023.10 to 2026.2, and the wire departs from its
// OpenAPI document in every release. The rules here follow what running releases were seen to do:
//
//   - Required are only pk, provider.pk and user.pk. Everything else may be absent or null, and an
//     optional field of an unexpected type is dropped and counted, never fatal.
//   - redirect_uris is a text up to 2024.8.4 and a list later; jwks_sources was renamed
//     jwt_federation_sources, and backchannel_logout_uri became logout_uri.
//   - 401 is never sent. 403 means "credential rejected" or "not allowed", told apart only by a few
//     exact texts. 404 means unknown, not yours, or that no token arrived.
//   - Ids such as 01, +1 or a full-width 1 all answer with row 1, so an id is parsed strictly here
//     before it is sent or becomes a cache key.
//   - A token with a character outside ASCII makes authentik fail with 500: it is refused here.
//   - There is no time-out in authentik: the client brings its own.
//
// An authentik in trouble is spared: a bounded number of calls runs at once and another bounded
// number waits, failures that pass are tried again within the one time-out, and a circuit breaker
// turns calls away while half of them fail. All of it is in policy.go and breaker.go.
package upstream

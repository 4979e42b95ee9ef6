package grants

import (
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// Caller is the bearer of a credential.
type Caller struct {
	// Credential goes to authentik; it is zero if the request brought none that is usable.
	Credential upstream.Credential
	// Digest stands for the credential where values are kept; it is zero without one.
	Digest Digest
}

// Digest stands for a credential, which cannot be found from it.
type Digest = cache.Caller

// Read is a value as it was read through the cache.
type Read[T any] struct {
	Value T
	Freshness
}

// Freshness states how old a value is, and how it was read.
type Freshness struct {
	// FetchedAt is when authentik gave the value.
	FetchedAt time.Time
	// FreshUntil is when it stops, or stopped, being fresh. It is zero if there is no value.
	FreshUntil time.Time
	// Cached reports that authentik was not called for this read.
	Cached bool
	// Replaced reports that authentik was called because the cached value was stale.
	Replaced bool
	// Stale is why a stale value was given.
	Stale Staleness
	// Cause is authentik's failure behind a stale value; it is nil if authentik is only slow.
	Cause error
	// Dependency identifies the read, for what is made of its value.
	Dependency Dependency
}

// Staleness is why a stale value was given (RFC 5861).
type Staleness = cache.Staleness

// The reasons.
const (
	NotStale             = cache.NotStale
	StaleWhileRevalidate = cache.StaleWhileRevalidate
	StaleIfError         = cache.StaleIfError
)

// Dependency identifies a value as a read gave it, so that a cache can tell whether a read would give the
// same again.
type Dependency = cache.Dependency

// Revocation is the outcome of a revocation.
type Revocation struct {
	// Grant is the grant as it was, if it was cached.
	Grant *Read[*upstream.Grant]
	// OutcomeUnknown reports that authentik did not say whether this request deleted the grant.
	OutcomeUnknown bool
}

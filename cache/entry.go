package cache

import "time"

// Entry is the outcome of a load, with the times that decide how long it may be used.
type Entry[V any] struct {
	Value V
	// FetchedAt is when the origin gave the outcome.
	FetchedAt time.Time
	// EndsAt is when the value expires by itself; zero if it does not. No read returns a value after its end,
	// unless it had already ended when it was fetched.
	EndsAt time.Time
	// FreshOnly forbids stale use, for a value that claims something no clock can check.
	FreshOnly bool
	// Denial says that the value is itself a denial. It is used like any other value, and supersedes older values as
	// Denied does.
	Denial bool
	// Outcome classifies Err, which is nil if and only if there is a value.
	Outcome Outcome
	Err     error

	// subscription is the generation of the subscription under which Redis last confirmed the entry.
	subscription int64
	// number identifies the entry among all that this process has stored; 0 if it was not stored.
	number int64
}

// Encoded is an entry as stores keep it: a [Codec] has encoded its value.
type Encoded = Entry[string]

// withValue returns the entry with another value.
func withValue[A, B any](e Entry[A], value B) Entry[B] {
	return Entry[B]{
		Value:        value,
		FetchedAt:    e.FetchedAt,
		EndsAt:       e.EndsAt,
		FreshOnly:    e.FreshOnly,
		Denial:       e.Denial,
		Outcome:      e.Outcome,
		Err:          e.Err,
		subscription: e.subscription,
		number:       e.number,
	}
}

// denies reports whether the entry invalidates values that were fetched earlier.
func (e Entry[V]) denies() bool { return e.Denial || e.Outcome.denies() }

// Outcome is what a load came to. It decides what is kept of it and what it says about older values.
type Outcome byte

// The outcomes.
const (
	// Value: the origin returned a value.
	Value Outcome = iota
	// Denied: the caller may not have the value, or there is none. It is fresh for [Policy.NegativeTTL] and
	// invalidates every value that was fetched earlier.
	Denied
	// Unauthenticated: the origin does not accept the caller. Like Denied, but only as fresh as a failure.
	Unauthenticated
	// Unavailable: the origin does not work. Reads may fall back to a stale value; see [Policy].
	Unavailable
	// Error: any other failure. It says nothing about older values, but reads do not fall back to them.
	Error
	// Refused: something that may not be the origin refused the caller. Values that were fetched earlier may be
	// used while they are fresh, and no longer.
	Refused
)

// denies reports whether the outcome invalidates values that were fetched earlier.
func (o Outcome) denies() bool { return o == Denied || o == Unauthenticated }

// endsStale reports whether values that were fetched earlier must not be used stale.
func (o Outcome) endsStale() bool { return o.denies() || o == Refused }

// fails reports whether the outcome is a failure, which is kept beside the entry instead of replacing it.
func (o Outcome) fails() bool { return o == Unavailable || o == Error }

// Source is where a read found its result.
type Source int

// The sources.
const (
	// FromOrigin: loaded for this read, or for one that it joined.
	FromOrigin Source = iota
	// FromMemory: this process's memory.
	FromMemory
	// FromRedis: the store that processes share.
	FromRedis
)

// Staleness is why a read returned a value that is no longer fresh (RFC 5861).
type Staleness string

// The reasons.
const (
	NotStale             Staleness = ""
	StaleWhileRevalidate Staleness = "stale-while-revalidate"
	StaleIfError         Staleness = "stale-if-error"
)

// Result is what a read returned.
type Result[V any] struct {
	Entry[V]
	Source Source
	// FreshUntil is when the entry stops, or stopped, being fresh.
	FreshUntil time.Time
	// Stale is why the value was returned after that.
	Stale Staleness
	// Cause is the error because of which the value is stale; nil if the origin is only slow.
	Cause error
	// Replaced reports that the origin was asked because an older value had become stale.
	Replaced bool

	// asked is when Redis was last asked about the key, in a result that a flight offers.
	asked      time.Time
	dependency Dependency
}

// Dependency returns what a cached response that shows the result depends on.
func (r Result[V]) Dependency() Dependency { return r.dependency }

// Dependency identifies the entry that a read returned. [Cache.Valid] reports whether a read would return the
// same entry again.
type Dependency struct {
	key    Key
	number int64
	// revocations counts those that this process knew of when the read began.
	revocations int64
}

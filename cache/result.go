package cache

import "time"

// Source tells where a value came from.
type Source int

// The sources of a [Result].
const (
	// FromOrigin: the origin for this read or for one that this read waited with.
	FromOrigin Source = iota
	// FromMemory is this process's memory.
	FromMemory
	// FromRedis is Redis.
	FromRedis
)

// Staleness is why a value was given out that is no longer fresh (RFC 5861).
type Staleness string

// The reasons.
const (
	NotStale             Staleness = ""
	StaleWhileRevalidate Staleness = "stale-while-revalidate"
	StaleIfError         Staleness = "stale-if-error"
)

// Result is an entry as it was read.
type Result[V any] struct {
	Entry[V]
	Source Source
	// FreshUntil is when the entry stops, or stopped, being fresh.
	FreshUntil time.Time
	// Stale is why it was given out after that.
	Stale Staleness
	// Cause is the error because of which a stale value was given out; nil if the origin is only slow.
	Cause error
	// Replaced tells that the origin was asked because what was there had become stale.
	Replaced bool

	// asked is when Redis was last asked about the key, of a result that is offered.
	asked      time.Time
	dependency Dependency
}

// With makes a result of another type of a value, such as of a part of it.
func With[A, B any](r Result[A], value B) Result[B] {
	return Result[B]{
		Entry: valued(r.Entry, value), Source: r.Source, FreshUntil: r.FreshUntil, Stale: r.Stale, Cause: r.Cause, Replaced: r.Replaced, dependency: r.dependency,
	}
}

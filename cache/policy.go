package cache

import "time"

const (
	// maxSkew is how far in the future a value may claim to have been fetched. Another process's
	// clock may be a little ahead; a value from further away could be fresh for hours and is not used.
	maxSkew = time.Second
	// staleWait is how long a load is awaited with a stale value in hand. The load goes on after it.
	staleWait = time.Second
	// failureTTL is how long a key is not loaded again after a load that failed.
	failureTTL = time.Second
)

// Entry is what the origin said of a key, with the times that decide how long it may be used.
type Entry[V any] struct {
	// Value is shared by all who read it: nobody may change what it points to.
	Value V
	// FetchedAt is when the origin gave the value.
	FetchedAt time.Time
	// EndsAt is when the value ends of itself, zero if it does not. A value that ends after it was
	// fetched is never given out past its end.
	EndsAt time.Time
	// FreshOnly forbids to give the value out stale: it claims something that no clock can check.
	FreshOnly bool
	// Err is what the origin said instead of a value, and Outcome what that means; nil and Value
	// with a value.
	Err     error
	Outcome Outcome

	// encoded is the value as the codec writes it, if that is known: both levels keep it so.
	encoded string
	// subscription is the subscription under which Redis last confirmed the entry; see [Shared].
	subscription int64
	// tag is the row's, and stored the entry's number, in the memory.
	hash   ResourceHash
	stored int64
}

// Outcome is what the outcome of a load means for what is kept.
type Outcome byte

// The outcomes.
const (
	// Value: there is a value.
	Value Outcome = iota
	// Denied: the caller does not get the value. Kept for [Policy.NegativeTTL], and no value that
	// was fetched earlier is used after it.
	Denied
	// Unauthenticated: the caller is not accepted. Like Denied, but kept only as long as a failure.
	Unauthenticated
	// Unavailable: the origin does not work. An older value may be given out, [Policy.StaleIfError].
	Unavailable
	// Error: anything else. It says nothing of an older value, which is not given out either.
	Error
)

// denies tells whether no value that was fetched earlier may be used after the outcome.
func (v Outcome) denies() bool { return v == Denied || v == Unauthenticated }

// Policy says how long an entry may be used, in the terms of RFC 9111 and RFC 5861. Each duration
// turns its part off with 0; a TTL of 0 turns all of them off.
type Policy struct {
	// TTL is how long a value is fresh after it was fetched.
	TTL time.Duration
	// StaleWhileRevalidate is how long after that it is given out at once while it is loaded anew.
	StaleWhileRevalidate time.Duration
	// StaleIfError is how long after that it is given out when the origin does not work.
	StaleIfError time.Duration
	// NegativeTTL is how long a denial is fresh.
	NegativeTTL time.Duration
}

// window is the longest time for which a value may be stale.
func (p Policy) window() time.Duration { return max(p.StaleWhileRevalidate, p.StaleIfError) }

// longest is how long an entry may be kept at most, whatever it claims of its times.
func (p Policy) longest() time.Duration {
	return max(p.TTL+p.window(), p.NegativeTTL, failureTTL)
}

// freshUntil is the first moment at which an entry is no longer fresh (RFC 9111, section 4.2, with
// the end of the value as an explicit expiration). An end that had passed at the fetch says nothing
// about freshness.
func freshUntil[V any](p Policy, e Entry[V]) time.Time {
	switch {
	case p.TTL <= 0:
		return e.FetchedAt
	case e.Outcome == Value:
		return notPastEnd(e, e.FetchedAt.Add(p.TTL))
	case e.Outcome == Denied:
		return e.FetchedAt.Add(p.NegativeTTL)
	}
	return e.FetchedAt.Add(failureTTL)
}

// fresh tells whether an entry may be given out now.
func fresh[V any](p Policy, e Entry[V], now time.Time) bool {
	return credible(e, now) && now.Before(freshUntil(p, e))
}

// staleUntil is the first moment at which a value may not even be given out stale, if it may be so
// for a window after it was fresh.
func staleUntil[V any](p Policy, e Entry[V], window time.Duration) time.Time {
	if p.TTL <= 0 || window <= 0 || e.Outcome != Value || e.FreshOnly {
		return freshUntil(p, e)
	}
	return notPastEnd(e, e.FetchedAt.Add(p.TTL+window))
}

// staleFor tells whether a value may be given out now, fresh or within a window after it.
func staleFor[V any](p Policy, e Entry[V], window time.Duration, now time.Time) bool {
	return e.Outcome == Value && credible(e, now) && now.Before(staleUntil(p, e, window))
}

// keptUntil is the last moment at which an entry is of use: while it may be given out, and a denial
// for as long as there may be a value somewhere that it forbids.
func keptUntil[V any](p Policy, e Entry[V]) time.Time {
	if p.TTL > 0 && e.Outcome.denies() {
		return e.FetchedAt.Add(p.longest())
	}
	return staleUntil(p, e, p.window())
}

// notPastEnd cuts a time at the value's end, if that came after the fetch.
func notPastEnd[V any](e Entry[V], until time.Time) time.Time {
	if e.EndsAt.After(e.FetchedAt) && e.EndsAt.Before(until) {
		return e.EndsAt
	}
	return until
}

// credible tells whether an entry can have been fetched by now.
func credible[V any](e Entry[V], now time.Time) bool { return !e.FetchedAt.After(now.Add(maxSkew)) }

// preferLocal tells whether, of two entries of a key, that of this process counts and not that of
// Redis. Redis has them in the order of their loads, so a denial there forbids a value here unless
// that is clearly of later: clocks differ.
func preferLocal[V any](here, there Entry[V]) bool {
	if there.Outcome.denies() {
		return here.FetchedAt.After(there.FetchedAt.Add(maxSkew))
	}
	return !here.FetchedAt.Before(there.FetchedAt)
}

package cache

import "time"

const (
	// maxSkew is how far in the future an entry may claim to have been fetched, since clocks of processes
	// differ. One from further away might stay fresh for hours.
	maxSkew = time.Second
	// staleWait is how long a read with a stale value at hand waits for a load, which goes on afterwards.
	staleWait = time.Second
	// failureTTL is how long a key is not loaded again after a load that failed.
	failureTTL = time.Second
)

// Policy says how long entries may be used, in the terms of RFC 9111 and RFC 5861. A duration of 0 turns its
// part off; a TTL of 0 turns everything off.
type Policy struct {
	// TTL is how long a value is fresh after its fetch.
	TTL time.Duration
	// StaleWhileRevalidate is how much longer reads return the value at once while a new one is loaded.
	StaleWhileRevalidate time.Duration
	// StaleIfError is how much longer reads fall back to the value when the origin is unavailable.
	StaleIfError time.Duration
	// NegativeTTL is how long a denial is fresh.
	NegativeTTL time.Duration
}

// window is the longest time for which a value may be stale.
func (p Policy) window() time.Duration { return max(p.StaleWhileRevalidate, p.StaleIfError) }

// longest bounds how long any entry is kept, whatever times it claims.
func (p Policy) longest() time.Duration { return max(p.TTL+p.window(), p.NegativeTTL, failureTTL) }

// freshUntil returns when an entry stops being fresh (RFC 9111, section 4.2, with the value's end as an
// explicit expiration). An end that had passed at the fetch says nothing about freshness.
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

// fresh reports whether an entry is fresh.
func fresh[V any](p Policy, e Entry[V], now time.Time) bool {
	return credible(e, now) && now.Before(freshUntil(p, e))
}

// staleUntil returns when a value that may be stale for a window stops being usable.
func staleUntil[V any](p Policy, e Entry[V], window time.Duration) time.Time {
	if p.TTL <= 0 || window <= 0 || e.Outcome != Value || e.FreshOnly {
		return freshUntil(p, e)
	}
	return notPastEnd(e, e.FetchedAt.Add(p.TTL+window))
}

// staleFor reports whether a value is fresh or may be used stale, for at most a window.
func staleFor[V any](p Policy, e Entry[V], window time.Duration, now time.Time) bool {
	return e.Outcome == Value && credible(e, now) && now.Before(staleUntil(p, e, window))
}

// keptUntil returns when an entry stops being of use. A denial or refusal is of use for as long as any store may
// have a value that it concerns.
func keptUntil[V any](p Policy, e Entry[V]) time.Time {
	if p.TTL > 0 && e.Outcome.endsStale() {
		return e.FetchedAt.Add(p.longest())
	}
	return staleUntil(p, e, p.window())
}

// notPastEnd cuts a time at the value's end, if that comes after the fetch.
func notPastEnd[V any](e Entry[V], until time.Time) time.Time {
	if e.EndsAt.After(e.FetchedAt) && e.EndsAt.Before(until) {
		return e.EndsAt
	}
	return until
}

// credible reports whether an entry can have been fetched by now.
func credible[V any](e Entry[V], now time.Time) bool { return !e.FetchedAt.After(now.Add(maxSkew)) }

// preferLocal reports whether the local entry supersedes the one in Redis. Entries in Redis are in the order
// of their loads. A denial or refusal there therefore supersedes a local value, unless that is later by more than
// clocks may differ.
func preferLocal[A, B any](local Entry[A], shared Entry[B]) bool {
	if shared.denies() || shared.Outcome.endsStale() {
		return local.FetchedAt.After(shared.FetchedAt.Add(maxSkew))
	}
	return !local.FetchedAt.Before(shared.FetchedAt)
}

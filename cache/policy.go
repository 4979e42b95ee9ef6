package cache

import "time"

// maxSkew is how far in the future a value may claim to have been fetched. Another process's
// clock may be a little ahead; a value from further away could be fresh for hours and is not used.
const maxSkew = time.Second

// Entry is a value with the times that decide how long it may be used.
type Entry[V any] struct {
	// Value is shared by all who read it: nobody may change what it points to.
	Value V
	// FetchedAt is when the origin gave the value.
	FetchedAt time.Time
	// EndsAt is when the value ends of itself, zero if it does not. A fresh value is never given
	// out past it.
	EndsAt time.Time
}

// Policy says how long an entry may be used. The zero Policy keeps nothing.
type Policy struct {
	// TTL is how long a value is fresh after it was fetched; 0 turns storing off.
	TTL time.Duration
}

// FreshUntil is the first moment at which a value fetched and ending at the given times is no
// longer fresh (RFC 9111, section 4.2, with the end of the value as an explicit expiration).
// An end that had passed at the fetch says nothing about freshness.
func (p Policy) FreshUntil(fetchedAt, endsAt time.Time) time.Time {
	until := fetchedAt.Add(p.TTL)
	if endsAt.After(fetchedAt) && endsAt.Before(until) {
		return endsAt
	}
	return until
}

// Fresh tells whether such a value may be given out now.
func (p Policy) Fresh(fetchedAt, endsAt, now time.Time) bool {
	return !fetchedAt.After(now.Add(maxSkew)) && now.Before(p.FreshUntil(fetchedAt, endsAt))
}

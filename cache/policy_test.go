package cache

import (
	"errors"
	"testing"
	"time"
)

const (
	second = time.Second
	never  = time.Duration(1 << 62)
)

var fetchedAt = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// value is a value that ends some time after its fetch, or never.
func value(ends time.Duration) Entry[string] {
	e := Entry[string]{Value: "value", FetchedAt: fetchedAt}
	if ends != never {
		e.EndsAt = fetchedAt.Add(ends)
	}
	return e
}

func outcome(v Outcome) Entry[string] {
	return Entry[string]{Err: errors.New("no"), Outcome: v, FetchedAt: fetchedAt}
}

func denial(e Entry[string]) Entry[string]    { e.Denial = true; return e }
func freshOnly(e Entry[string]) Entry[string] { e.FreshOnly = true; return e }

// TestPolicy checks how long after its fetch an entry is fresh, may be stale during a revalidation, may be
// stale on an error, and is kept. Each is checked just before its end and at its end.
func TestPolicy(t *testing.T) {
	usual := Policy{TTL: 5 * second, StaleWhileRevalidate: 2 * second, StaleIfError: 30 * second, NegativeTTL: 3 * second}
	strict := Policy{TTL: 5 * second}
	for _, tt := range []struct {
		name                      string
		policy                    Policy
		entry                     Entry[string]
		fresh, while, onErr, kept time.Duration
	}{
		{"without an end", usual, value(never), 5 * second, 7 * second, 35 * second, 35 * second},
		{"ends while fresh", usual, value(3 * second), 3 * second, 3 * second, 3 * second, 3 * second},
		{"ends when freshness does", usual, value(5 * second), 5 * second, 5 * second, 5 * second, 5 * second},
		{"ends while stale", usual, value(6 * second), 5 * second, 6 * second, 6 * second, 6 * second},
		{"ends later", usual, value(20 * second), 5 * second, 7 * second, 20 * second, 20 * second},
		{"ends after the windows", usual, value(time.Hour), 5 * second, 7 * second, 35 * second, 35 * second},
		{"ends right after the fetch", usual, value(1), 1, 1, 1, 1},
		{"had ended at the fetch", usual, value(0), 5 * second, 7 * second, 35 * second, 35 * second},
		{"had ended before the fetch", usual, value(-time.Hour), 5 * second, 7 * second, 35 * second, 35 * second},
		{"must not be stale", usual, freshOnly(value(never)), 5 * second, 5 * second, 5 * second, 5 * second},
		{"nothing stale", strict, value(never), 5 * second, 5 * second, 5 * second, 5 * second},
		{"only on an error", Policy{TTL: 5 * second, StaleIfError: second}, value(never), 5 * second, 5 * second, 6 * second, 6 * second},
		{"only while revalidating", Policy{TTL: 5 * second, StaleWhileRevalidate: second}, value(never), 5 * second, 6 * second, 5 * second, 6 * second},
		{"nothing kept", Policy{}, value(never), 0, 0, 0, 0},
		{"nothing kept of a value that ends", Policy{}, value(time.Hour), 0, 0, 0, 0},
		{"without a ttl nothing else has an effect", Policy{StaleWhileRevalidate: second, StaleIfError: second, NegativeTTL: second}, value(never), 0, 0, 0, 0},
		// A denial is kept for as long as a value may be that it invalidates.
		{"denied", usual, outcome(Denied), 3 * second, 0, 0, 35 * second},
		{"denied, not repeated", Policy{TTL: 5 * second, StaleIfError: second}, outcome(Denied), 0, 0, 0, 6 * second},
		{"denied for longer than values are kept", Policy{TTL: second, NegativeTTL: 3 * second}, outcome(Denied), 3 * second, 0, 0, 3 * second},
		{"unauthenticated", usual, outcome(Unauthenticated), second, 0, 0, 35 * second},
		{"refused", usual, outcome(Refused), second, 0, 0, 35 * second},
		{"unavailable", usual, outcome(Unavailable), second, 0, 0, second},
		{"an error", usual, outcome(Error), second, 0, 0, second},
		{"unavailable without a ttl", Policy{StaleIfError: second}, outcome(Unavailable), 0, 0, 0, 0},
		{"denied without a ttl", Policy{NegativeTTL: second}, outcome(Denied), 0, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, use := range []struct {
				name string
				may  func(now time.Time) bool
				ends time.Duration
			}{
				{"fresh", func(now time.Time) bool { return fresh(tt.policy, tt.entry, now) }, tt.fresh},
				{"stale while revalidating", func(now time.Time) bool {
					return staleFor(tt.policy, tt.entry, tt.policy.StaleWhileRevalidate, now)
				}, tt.while},
				{"stale on an error", func(now time.Time) bool {
					return staleFor(tt.policy, tt.entry, tt.policy.StaleIfError, now)
				}, tt.onErr},
			} {
				if use.ends > 0 && !use.may(fetchedAt.Add(use.ends-1)) {
					t.Errorf("%s: ends before %s", use.name, use.ends)
				}
				if use.may(fetchedAt.Add(use.ends)) {
					t.Errorf("%s: does not end at %s", use.name, use.ends)
				}
			}
			if got := keptUntil(tt.policy, tt.entry).Sub(fetchedAt); got != tt.kept {
				t.Errorf("kept for %s, want %s", got, tt.kept)
			}
			if longest := tt.policy.longest(); tt.kept > longest {
				t.Errorf("kept for %s, the longest is %s", tt.kept, longest)
			}
		})
	}
}

func TestFetchedInTheFuture(t *testing.T) {
	p := Policy{TTL: 5 * second, StaleIfError: 5 * second, NegativeTTL: 5 * second}
	for _, e := range []Entry[string]{value(never), outcome(Denied), outcome(Unavailable)} {
		for _, tt := range []struct {
			ahead time.Duration
			want  bool
		}{{0, true}, {second, true}, {second + 1, false}, {time.Hour, false}} {
			now := fetchedAt.Add(-tt.ahead)
			if got := fresh(p, e, now); got != tt.want {
				t.Errorf("%v, %s ahead: fresh %t", e, tt.ahead, got)
			}
			if got := staleFor(p, e, p.StaleIfError, now); got != (tt.want && e.Outcome == Value) {
				t.Errorf("%v, %s ahead: stale %t", e, tt.ahead, got)
			}
		}
	}
	if fresh(p, Entry[string]{Value: "value"}, fetchedAt) {
		t.Error("a value without the time of its fetch is fresh")
	}
}

func TestPreferLocal(t *testing.T) {
	at := func(e Entry[string], d time.Duration) Entry[string] { e.FetchedAt = e.FetchedAt.Add(d); return e }
	for _, tt := range []struct {
		name          string
		local, shared Entry[string]
		want          bool
	}{
		{"the same", value(never), value(never), true},
		{"a newer value in Redis", value(never), at(value(never), 1), false},
		{"a newer local value", at(value(never), 1), value(never), true},
		{"a newer denial in Redis", value(never), at(outcome(Denied), 1), false},
		{"a denial in Redis, by a clock that is behind", at(value(never), second), outcome(Denied), false},
		{"a local value that is clearly later", at(value(never), second+1), outcome(Denied), true},
		{"a value that is a denial in Redis, by a clock that is behind", at(value(never), second), denial(value(never)), false},
		{"a local value that is clearly later than such a value", at(value(never), second+1), denial(value(never)), true},
		{"an unauthenticated caller in Redis", value(never), outcome(Unauthenticated), false},
		{"a refusal in Redis, by a clock that is behind", at(value(never), second), outcome(Refused), false},
		{"a local denial, an older value in Redis", outcome(Denied), at(value(never), -1), true},
		{"a local denial, a newer value in Redis", outcome(Denied), at(value(never), 1), false},
	} {
		if got := preferLocal(tt.local, tt.shared); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

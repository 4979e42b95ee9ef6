//go:build linux

package faults

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// ledger records every code that authentik ever had, and when each was deleted. A nil ledger is empty.
type ledger struct {
	mu    sync.Mutex
	codes map[int32]*entry
}

// entry is the history of a code. A zero time is an event that has not happened.
type entry struct {
	upstreamtest.Code
	leaving time.Time // before its deletion began
	gone    time.Time // after authentik had deleted it
	revoked time.Time // after the service had confirmed its revocation
}

func newLedger() *ledger { return &ledger{codes: map[int32]*entry{}} }

func (l *ledger) add(c upstreamtest.Code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.codes[c.PK] = &entry{Code: c}
}

// entry returns a copy of a code's history.
func (l *ledger) entry(pk int32) (e entry, ok bool) {
	if l == nil {
		return entry{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.codes[pk]; found != nil {
		return *found, true
	}
	return entry{}, false
}

// mark sets a time of a code to now, unless it is set.
func (l *ledger) mark(pk int32, which func(*entry) *time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := which(l.codes[pk]); at.IsZero() {
		*at = time.Now()
	}
}

func (l *ledger) markLeaving(pk int32) { l.mark(pk, func(e *entry) *time.Time { return &e.leaving }) }
func (l *ledger) markGone(pk int32)    { l.mark(pk, func(e *entry) *time.Time { return &e.gone }) }
func (l *ledger) markRevoked(pk int32) { l.mark(pk, func(e *entry) *time.Time { return &e.revoked }) }

// checkShown checks a response that shows a code, to a request of begun, with what authentik answered at
// fetchedAt.
//
// A code whose revocation is confirmed must not be shown at all. One that was deleted in another way, or
// by a revocation whose outcome is unknown, may be shown from the cache. Authentik's answer must then be
// older than the deletion, give or take the time that an answer may take to arrive.
func (l *ledger) checkShown(pk int32, begun, fetchedAt time.Time) error {
	e, _ := l.entry(pk)
	switch {
	case !e.revoked.IsZero() && begun.After(e.revoked):
		return fmt.Errorf("code %d is shown to a request of %s after it was revoked", pk, begun.Sub(e.revoked))
	case !e.gone.IsZero() && fetchedAt.After(e.gone.Add(upstreamTimeout)):
		return fmt.Errorf("code %d is shown as of %s after it was deleted", pk, fetchedAt.Sub(e.gone))
	}
	return nil
}

// checkNotFound checks NOT_FOUND for a code that the caller may read.
func (l *ledger) checkNotFound(pk int32) error {
	if e, _ := l.entry(pk); e.leaving.IsZero() {
		return fmt.Errorf("code %d is not found, but was not deleted", pk)
	}
	return nil
}

// TestLedger: a deleted code that is shown is noticed.
func TestLedger(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := at.Add(time.Millisecond)
	late := at.Add(upstreamTimeout + time.Millisecond)
	tests := []struct {
		name             string
		entry            entry
		begun, fetchedAt time.Time
		want             bool
	}{
		{"it exists", entry{}, after, after, true},
		{"asked for before it was revoked", entry{gone: at, revoked: at}, at, at, true},
		{"asked for after it was revoked", entry{gone: at, revoked: at}, after, at, false},
		{"deleted, shown from the cache", entry{gone: at}, late, after, true},
		{"deleted, fetched since", entry{gone: at}, late, late, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := &ledger{codes: map[int32]*entry{17: &tt.entry}}
			if err := l.checkShown(17, tt.begun, tt.fetchedAt); (err == nil) != tt.want {
				t.Errorf("accepted: %v, want %v (%v)", err == nil, tt.want, err)
			}
		})
	}
}

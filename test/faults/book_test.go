//go:build linux

package faults

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// book knows every code that authentik ever had, and when each went. A nil book knows none.
type book struct {
	mu    sync.Mutex
	codes map[int32]*entry
}

// entry is what becomes of a code. The zero time is never.
type entry struct {
	upstreamtest.Code
	leaving time.Time // from when on authentik may not have it
	gone    time.Time // from when on authentik does not have it
	revoked time.Time // when the service had said so
}

func newBook() *book { return &book{codes: map[int32]*entry{}} }

func (b *book) add(c upstreamtest.Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.codes[c.PK] = &entry{Code: c}
}

// entry returns what is known of a code now.
func (b *book) entry(pk int32) (e entry, ok bool) {
	if b == nil {
		return entry{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if found := b.codes[pk]; found != nil {
		return *found, true
	}
	return entry{}, false
}

// note sets a time of a code to now, unless it is set.
func (b *book) note(pk int32, which func(*entry) *time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := which(b.codes[pk]); at.IsZero() {
		*at = time.Now()
	}
}

func (b *book) leaves(pk int32)    { b.note(pk, func(e *entry) *time.Time { return &e.leaving }) }
func (b *book) isGone(pk int32)    { b.note(pk, func(e *entry) *time.Time { return &e.gone }) }
func (b *book) isRevoked(pk int32) { b.note(pk, func(e *entry) *time.Time { return &e.revoked }) }

// wronglyShown tells what is wrong with showing a code to somebody, anybody, who asked at begun, in
// an answer that authentik gave at fetchedAt.
//
// What was revoked is gone at once. What went otherwise, or with a revocation of which nobody knows
// what came of it, may be shown for as long as what authentik said before is given out: but authentik
// has not said it since. An answer that was made before may take all the time there is to arrive.
func (b *book) wronglyShown(pk int32, begun, fetchedAt time.Time) error {
	e, _ := b.entry(pk)
	switch {
	case !e.revoked.IsZero() && begun.After(e.revoked):
		return fmt.Errorf("code %d is shown to who asked %s after it was revoked", pk, begun.Sub(e.revoked))
	case !e.gone.IsZero() && fetchedAt.After(e.gone.Add(upstreamTimeout)):
		return fmt.Errorf("code %d is shown as of %s after it was gone", pk, fetchedAt.Sub(e.gone))
	}
	return nil
}

// wronglyRefused tells what is wrong with NOT_FOUND for a code that the caller may see.
func (b *book) wronglyRefused(pk int32) error {
	if e, _ := b.entry(pk); e.leaving.IsZero() {
		return fmt.Errorf("code %d is not found, and nobody revoked it", pk)
	}
	return nil
}

// TestBook: codes that went are missed when they are shown.
func TestBook(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := at.Add(time.Millisecond)
	late := at.Add(upstreamTimeout + time.Millisecond)
	tests := []struct {
		name             string
		entry            entry
		begun, fetchedAt time.Time
		want             bool
	}{
		{"it is there", entry{}, after, after, true},
		{"asked for before it was revoked", entry{gone: at, revoked: at}, at, at, true},
		{"asked for after it was revoked", entry{gone: at, revoked: at}, after, at, false},
		{"gone, nobody knows", entry{gone: at}, late, after, true},
		{"gone, and authentik would have to have it again", entry{gone: at}, late, late, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &book{codes: map[int32]*entry{17: &tt.entry}}
			if err := b.wronglyShown(17, tt.begun, tt.fetchedAt); (err == nil) != tt.want {
				t.Errorf("right: %v, want %v (%v)", err == nil, tt.want, err)
			}
		})
	}
}

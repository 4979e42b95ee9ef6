package cache

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// entryOverhead is about what an entry takes in the store beside its value: key, node, times.
	entryOverhead = 320
	// errorSize is about what an error of the origin takes.
	errorSize = 256
)

// Memory is a [Store] in this process, bounded by bytes.
type Memory struct {
	cache *otter.Cache[Key, held]
	now   func() time.Time
}

type held struct {
	entry Entry[string]
	until time.Time
}

var _ Store[string] = (*Memory)(nil)

// NewMemory makes a store that keeps about maxBytes by evicting what is least used. now is
// the clock.
func NewMemory(maxBytes uint64, now func() time.Time) (*Memory, error) {
	c, err := otter.New(&otter.Options[Key, held]{
		MaximumWeight: maxBytes,
		Weigher: func(_ Key, h held) uint32 {
			if h.entry.Outcome != Value {
				return errorSize + entryOverhead
			}
			n := len(h.entry.Value)
			return uint32(min(n+n/8+entryOverhead, 1<<31-1)) // Go rounds a block up by an eighth at most
		},
		// By writing, not by creating: a rewritten key would keep its first expiry otherwise.
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, held]) time.Duration {
			return e.Value.until.Sub(now())
		}),
	})
	if err != nil {
		return nil, err
	}
	return &Memory{cache: c, now: now}, nil
}

// Get implements [Store]; it never fails.
func (m *Memory) Get(_ context.Context, key Key) (Entry[string], bool, error) {
	h, ok := m.cache.GetIfPresent(key)
	if !ok || !m.now().Before(h.until) {
		return Entry[string]{}, false, nil
	}
	return h.entry, true, nil
}

// Set implements [Store]; it never fails.
func (m *Memory) Set(_ context.Context, key Key, e Entry[string], ttl time.Duration) error {
	if ttl > 0 {
		m.cache.Set(key, held{entry: e, until: m.now().Add(ttl)})
	}
	return nil
}

// Delete implements [Store]; it never fails.
func (m *Memory) Delete(_ context.Context, key Key) error {
	m.cache.Invalidate(key)
	return nil
}

// Size is how many entries are kept, and about how many bytes they take.
func (m *Memory) Size() (entries int, bytes uint64) {
	return m.cache.EstimatedSize(), m.cache.WeightedSize()
}

// Close ends the store's goroutines.
func (m *Memory) Close() error {
	m.cache.StopAllGoroutines()
	return nil
}

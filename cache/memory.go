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
type Memory[V any] struct {
	cache *otter.Cache[Key, held[V]]
	now   func() time.Time
}

type held[V any] struct {
	entry Entry[V]
	until time.Time
}

var _ Store[int] = (*Memory[int])(nil)

// NewMemory makes a store that keeps about maxBytes by evicting what is least used. size tells
// what a value takes, in bytes; now is the clock.
func NewMemory[V any](maxBytes uint64, size func(V) int, now func() time.Time) (*Memory[V], error) {
	c, err := otter.New(&otter.Options[Key, held[V]]{
		MaximumWeight: maxBytes,
		Weigher: func(_ Key, h held[V]) uint32 {
			if h.entry.Verdict != Given {
				return errorSize + entryOverhead
			}
			return uint32(min(size(h.entry.Value)+entryOverhead, 1<<31-1))
		},
		// By writing, not by creating: a rewritten key would keep its first expiry otherwise.
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, held[V]]) time.Duration {
			return e.Value.until.Sub(now())
		}),
	})
	if err != nil {
		return nil, err
	}
	return &Memory[V]{cache: c, now: now}, nil
}

// Get implements [Store]; it never fails.
func (m *Memory[V]) Get(_ context.Context, key Key) (Entry[V], bool, error) {
	h, ok := m.cache.GetIfPresent(key)
	if !ok || !m.now().Before(h.until) {
		return Entry[V]{}, false, nil
	}
	return h.entry, true, nil
}

// Set implements [Store]; it never fails.
func (m *Memory[V]) Set(_ context.Context, key Key, e Entry[V], ttl time.Duration) error {
	if ttl > 0 {
		m.cache.Set(key, held[V]{entry: e, until: m.now().Add(ttl)})
	}
	return nil
}

// Delete implements [Store]; it never fails.
func (m *Memory[V]) Delete(_ context.Context, key Key) error {
	m.cache.Invalidate(key)
	return nil
}

// Size is how many entries are kept, and about how many bytes they take.
func (m *Memory[V]) Size() (entries int, bytes uint64) {
	return m.cache.EstimatedSize(), m.cache.WeightedSize()
}

// Close ends the store's goroutines.
func (m *Memory[V]) Close() error {
	m.cache.StopAllGoroutines()
	return nil
}

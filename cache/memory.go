package cache

import (
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// entryOverhead is roughly what an entry takes beside its value: key, node and times.
	entryOverhead = 320
	// errorSize is roughly what an error of the origin takes.
	errorSize = 256
)

// Memory is a [Store] bounded by bytes. It keeps values encoded, each as one block without pointers: decoded,
// a value is a hundred small objects that the garbage collector visits again and again.
type Memory struct {
	cache *otter.Cache[Key, memoryEntry]
	now   func() time.Time
}

type memoryEntry struct {
	Encoded
	until time.Time
}

var _ Store = (*Memory)(nil)

// NewMemory makes a store of about maxBytes that evicts what is least used. now is the clock.
func NewMemory(maxBytes uint64, now func() time.Time) (*Memory, error) {
	c, err := otter.New(&otter.Options[Key, memoryEntry]{
		MaximumWeight: maxBytes,
		Weigher: func(_ Key, e memoryEntry) uint32 {
			if e.Outcome != Value {
				return errorSize + entryOverhead
			}
			n := len(e.Value)
			return uint32(min(n+n/8+entryOverhead, 1<<31-1)) // Go rounds a block up by an eighth at most
		},
		// By writing, not by creating: an overwritten key would keep its first expiry otherwise.
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, memoryEntry]) time.Duration {
			return e.Value.until.Sub(now())
		}),
	})
	if err != nil {
		return nil, err
	}
	return &Memory{cache: c, now: now}, nil
}

// Get implements [Store].
func (m *Memory) Get(key Key) (Encoded, bool) {
	e, ok := m.cache.GetIfPresent(key)
	if !ok || !m.now().Before(e.until) {
		return Encoded{}, false
	}
	return e.Encoded, true
}

// Set implements [Store].
func (m *Memory) Set(key Key, e Encoded, ttl time.Duration) {
	if ttl > 0 {
		m.cache.Set(key, memoryEntry{e, m.now().Add(ttl)})
	}
}

// Delete implements [Store].
func (m *Memory) Delete(key Key) { m.cache.Invalidate(key) }

// Size returns the number of entries and roughly how many bytes they take.
func (m *Memory) Size() (entries int, bytes uint64) {
	return m.cache.EstimatedSize(), m.cache.WeightedSize()
}

// Close stops the store's goroutines.
func (m *Memory) Close() { m.cache.StopAllGoroutines() }

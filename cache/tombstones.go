package cache

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// tombstones are the resources that this process knows to be revoked. Reads check them after memory, and
// loads before they store: a load that began before a revocation puts nothing back.
type tombstones struct {
	now func() time.Time
	// last is when the last tombstone lapses, in nanoseconds. While there is none, a read pays for nothing
	// else.
	last  atomic.Int64
	added atomic.Int64

	mu    sync.RWMutex
	until map[ResourceHash]time.Time
	sweep time.Time // when lapsed tombstones are next deleted
}

func newTombstones(now func() time.Time) *tombstones {
	return &tombstones{now: now, until: map[ResourceHash]time.Time{}}
}

// add keeps a tombstone for ttl.
func (t *tombstones) add(hash ResourceHash, ttl time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.added.Add(1) // once it can be found
	now := t.now()
	if now.After(t.sweep) {
		maps.DeleteFunc(t.until, func(_ ResourceHash, until time.Time) bool { return !now.Before(until) })
		t.sweep = now.Add(ttl)
	}
	if until := now.Add(ttl); until.After(t.until[hash]) {
		t.until[hash] = until
	}
	t.last.Store(max(t.last.Load(), t.until[hash].UnixNano()))
}

// count returns how many tombstones were added so far.
func (t *tombstones) count() int64 { return t.added.Load() }

// has reports whether a resource has a tombstone. It asks for the hash only if there is any.
func (t *tombstones) has(hash func() ResourceHash) bool {
	last := t.last.Load()
	if last == 0 || t.now().UnixNano() >= last {
		return false
	}
	h := hash()
	t.mu.RLock()
	defer t.mu.RUnlock()
	until, ok := t.until[h]
	return ok && t.now().Before(until)
}

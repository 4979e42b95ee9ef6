package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// tombstones are the rows that this process knows to be revoked. A read asks them before the first
// level, and a load before it stores: what began before the revocation puts nothing back.
type tombstones struct {
	now func() time.Time
	// last is when the last of them closes, in nanoseconds; 0 means that there was none yet, and
	// costs a read nothing.
	last  atomic.Int64
	added atomic.Int64
	mu    sync.RWMutex
	until map[ResourceHash]time.Time
	sweep time.Time
}

func newTombstones(now func() time.Time) *tombstones {
	return &tombstones{now: now, until: map[ResourceHash]time.Time{}}
}

// add keeps a tombstone for ttl. Tombstones that nobody asked for are cleared away now and then.
func (g *tombstones) add(t ResourceHash, ttl time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.added.Add(1) // once it is there to be found
	now := g.now()
	if now.After(g.sweep) {
		for t, until := range g.until {
			if !now.Before(until) {
				delete(g.until, t)
			}
		}
		g.sweep = now.Add(ttl)
	}
	if until := now.Add(ttl); until.After(g.until[t]) {
		g.until[t] = until
	}
	g.last.Store(max(g.last.Load(), g.until[t].UnixNano()))
}

// count is how many were added so far.
func (g *tombstones) count() int64 { return g.added.Load() }

// has tells whether a row is revoked. tagOf is asked only if some row is.
func (g *tombstones) has(tagOf func() ResourceHash) bool {
	last := g.last.Load()
	if last == 0 || g.now().UnixNano() >= last {
		return false
	}
	t := tagOf()
	g.mu.RLock()
	defer g.mu.RUnlock()
	until, ok := g.until[t]
	return ok && g.now().Before(until)
}

// Revoke makes the row a revoked one, for all callers and, with a Redis, in all processes:
// reads of it return [ErrRevoked], and no load that began earlier puts anything back. Its error says
// that other processes may not know yet; they do not use an entry of the row that is not fresh.
func (c *Cache[V]) Revoke(ctx context.Context, row ResourceID) error {
	c.tombstones.add(c.hash(row), c.tombstoneTTL())
	defer c.listVersions.clear() // once Redis has begun another: until then the one of before is learned again
	if c.redis == nil {
		return nil
	}
	return c.redis.Revoke(ctx, row, c.tombstoneTTL())
}

// Revoked tells whether this process knows a row to be revoked.
func (c *Cache[V]) Revoked(row ResourceID) bool {
	return c.tombstones.has(func() ResourceHash { return c.hash(row) })
}

func (c *Cache[V]) isRevoked(key Key) bool {
	return c.tombstones.has(func() ResourceHash { return c.hash(key.id) })
}

// entryRevoked is revoked for what the memory gave: an entry knows its tag, whose making costs
// more than the read.
func (c *Cache[V]) entryRevoked(key Key, k lookup[V]) bool {
	return c.tombstones.has(func() ResourceHash {
		if k.found {
			return k.entry.hash
		}
		return c.hash(key.id)
	})
}

// tombstoneTTL is longer than any entry can be kept and any load can run that began before.
func (c *Cache[V]) tombstoneTTL() time.Duration {
	return c.policy.longest() + min(c.timeout, 24*time.Hour) + 10*time.Second
}

package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"authentik-graphql/cache"
)

// ErrDown is the error of a [Process] that is cut off from its [FakeRedis].
var ErrDown = errors.New("cachetest: cut off")

// leaseTTL is how long a lease lasts, as in Redis.
const leaseTTL = 2 * time.Second

// FakeRedis is a fake shared store whose clock the test moves. It passes the same suite as Redis.
type FakeRedis struct {
	keys *cache.Keys
	now  func() time.Time

	mu       sync.Mutex
	entries  map[cache.Key]kept
	failures map[cache.Key]kept
	leases   map[cache.Key]lease
	revoked  map[cache.ResourceID]time.Time
	// listVersions counts the revocations of each resource, lost how often everything was lost.
	listVersions map[string]int
	lost         int
	processes    []*Process
}

type kept struct {
	entry cache.Entry[string]
	until time.Time
}

type lease struct {
	token string
	until time.Time
}

// NewFakeRedis makes an empty store. keys are those of the caches that use it.
func NewFakeRedis(keys *cache.Keys, now func() time.Time) *FakeRedis {
	c := &FakeRedis{keys: keys, now: now}
	c.Empty()
	return c
}

// Empty deletes everything, as a restart of Redis does.
func (c *FakeRedis) Empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries, c.failures = map[cache.Key]kept{}, map[cache.Key]kept{}
	c.leases, c.revoked = map[cache.Key]lease{}, map[cache.ResourceID]time.Time{}
	c.listVersions = map[string]int{}
	c.lost++
}

// Rewind restores the list version from before the last revocation, like a Redis that loses its last writes.
func (c *FakeRedis) Rewind(resource string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listVersions[resource]--
}

// Process connects another process.
func (c *FakeRedis) Process() *Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &Process{redis: c, subscription: 1}
	c.processes = append(c.processes, p)
	return p
}

// Process is the connection of one process to a [FakeRedis].
type Process struct {
	redis  *FakeRedis
	notify func(cache.ResourceHash)
	// The store's mutex guards these.
	cut, disconnected bool
	subscription      int64
}

var _ cache.Shared = (*Process)(nil)

// Cut makes every operation of this process fail, or work again. While cut off it gets no notifications.
func (p *Process) Cut(off bool) { p.set(func() { p.cut = off }) }

// Disconnect ends the subscription of this process, or starts another one.
func (p *Process) Disconnect(disconnected bool) { p.set(func() { p.disconnected = disconnected }) }

func (p *Process) set(change func()) {
	p.redis.mu.Lock()
	defer p.redis.mu.Unlock()
	subscribed := !p.cut && !p.disconnected
	change()
	if !subscribed && !p.cut && !p.disconnected {
		p.subscription++
	}
}

// Read implements [cache.Shared].
func (p *Process) Read(_ context.Context, key cache.Key) (v cache.View, err error) {
	err = p.locked(func(c *FakeRedis) { v = c.view(key) })
	return v, err
}

// Acquire implements [cache.Shared].
func (p *Process) Acquire(_ context.Context, key cache.Key, token string, onlyIfMissing bool) (v cache.View, err error) {
	err = p.locked(func(c *FakeRedis) {
		v = c.view(key)
		if v.Revoked || onlyIfMissing && (v.Found || v.HasFailure) {
			return
		}
		if l, taken := c.leases[key]; !taken || l.token == token || !c.now().Before(l.until) {
			c.leases[key] = lease{token, c.now().Add(leaseTTL)}
			v.Acquired = true
		}
	})
	return v, err
}

// Renew implements [cache.Shared].
func (p *Process) Renew(_ context.Context, key cache.Key, token string) (acquired bool, err error) {
	err = p.locked(func(c *FakeRedis) {
		if acquired = c.holds(key, token); acquired {
			c.leases[key] = lease{token, c.now().Add(leaseTTL)}
		}
	})
	return acquired, err
}

// Commit implements [cache.Shared].
func (p *Process) Commit(_ context.Context, key cache.Key, token string, e cache.Entry[string], ttl time.Duration) (revoked bool, err error) {
	err = p.locked(func(c *FakeRedis) {
		acquired := c.holds(key, token)
		if acquired {
			delete(c.leases, key)
		}
		if revoked = c.isRevoked(key.ResourceID()); revoked {
			delete(c.entries, key)
			delete(c.failures, key)
			return
		}
		switch {
		case !acquired && (e.Denial || e.Outcome == cache.Denied || e.Outcome == cache.Unauthenticated):
			delete(c.entries, key)
		case !acquired || ttl < time.Millisecond:
		case e.Outcome == cache.Unavailable || e.Outcome == cache.Error:
			c.failures[key] = kept{e, c.now().Add(ttl)}
		default:
			c.entries[key] = kept{e, c.now().Add(ttl)}
			delete(c.failures, key)
		}
	})
	return revoked, err
}

// ListVersion implements [cache.Shared].
func (p *Process) ListVersion(_ context.Context, resource string) (version string, err error) {
	err = p.locked(func(c *FakeRedis) { version = fmt.Sprint(c.lost, ".", c.listVersions[resource]) })
	return version, err
}

// Revoke implements [cache.Shared].
func (p *Process) Revoke(_ context.Context, id cache.ResourceID, ttl time.Duration) error {
	var subscribers []func(cache.ResourceHash)
	err := p.locked(func(c *FakeRedis) {
		c.revoked[id] = c.now().Add(ttl)
		c.listVersions[id.Resource()]++
		for _, other := range c.processes {
			if other.notify != nil && !other.cut && !other.disconnected {
				subscribers = append(subscribers, other.notify)
			}
		}
	})
	for _, notify := range subscribers {
		notify(p.redis.keys.ResourceHash(id))
	}
	return err
}

// ResourceHash implements [cache.Shared].
func (p *Process) ResourceHash(id cache.ResourceID) cache.ResourceHash {
	return p.redis.keys.ResourceHash(id)
}

// Listen implements [cache.Shared].
func (p *Process) Listen(notify func(cache.ResourceHash)) { p.set(func() { p.notify = notify }) }

// Subscription implements [cache.Shared].
func (p *Process) Subscription() int64 {
	p.redis.mu.Lock()
	defer p.redis.mu.Unlock()
	return p.subscription
}

// InSync implements [cache.Shared].
func (p *Process) InSync(subscription int64) bool {
	p.redis.mu.Lock()
	defer p.redis.mu.Unlock()
	return !p.cut && !p.disconnected && subscription == p.subscription
}

// Delete implements [cache.Shared].
func (p *Process) Delete(_ context.Context, key cache.Key) error {
	return p.locked(func(c *FakeRedis) { delete(c.entries, key) })
}

// Close implements [cache.Shared].
func (p *Process) Close() error {
	p.Listen(nil)
	return nil
}

func (p *Process) locked(do func(*FakeRedis)) error {
	p.redis.mu.Lock()
	defer p.redis.mu.Unlock()
	if p.cut {
		return ErrDown
	}
	do(p.redis)
	return nil
}

func (c *FakeRedis) view(key cache.Key) (v cache.View) {
	if v.Revoked = c.isRevoked(key.ResourceID()); v.Revoked {
		return v
	}
	get := func(m map[cache.Key]kept) (cache.Entry[string], bool) {
		k, ok := m[key]
		if !ok || !c.now().Before(k.until) {
			return cache.Entry[string]{}, false
		}
		return k.entry, true
	}
	v.Entry, v.Found = get(c.entries)
	v.Failure, v.HasFailure = get(c.failures)
	return v
}

func (c *FakeRedis) isRevoked(id cache.ResourceID) bool {
	until, ok := c.revoked[id]
	return ok && c.now().Before(until)
}

func (c *FakeRedis) holds(key cache.Key, token string) bool {
	l, ok := c.leases[key]
	return ok && l.token == token && c.now().Before(l.until)
}

package cache

import (
	"context"
	"time"
)

// lookup is what a read knows of its key so far.
type lookup[V any] struct {
	entry         Entry[V]
	found         bool
	source        Source
	failure       Entry[V]
	hasFailure    bool
	failureSource Source // the level that knows of the failure
	// current tells that no revocation can have gone unheard. Without it only what is fresh may be
	// given out, and that only when Redis cannot be asked.
	current bool
	// asked is when Redis was last asked.
	asked time.Time
	// held tells that the lease is ours.
	acquired bool
}

// lookupMemory looks into the memory.
func (c *Cache[V]) lookupMemory(ctx context.Context, key Key) (k lookup[V]) {
	k.source, k.failureSource = FromMemory, FromMemory
	k.entry, k.found = c.memory.get(ctx, key)
	if !k.found || !fresh(c.policy, k.entry, c.now()) {
		k.failure, k.hasFailure = c.memory.get(ctx, key.ofFailure())
	}
	switch {
	case k.found:
		k.current = c.inSync(k.entry.subscription)
	case k.hasFailure:
		k.current = c.inSync(k.failure.subscription)
	default:
		k.current = c.redis == nil
	}
	return k
}

// merge adds to k what the Redis has, and keeps it in the first.
func (c *Cache[V]) merge(ctx context.Context, key Key, k *lookup[V], view View[V], subscription int64) {
	k.current = true // until the next look
	if view.HasFailure && (!k.hasFailure || !preferLocal(k.failure, view.Failure)) {
		k.failure, k.hasFailure, k.failureSource = view.Failure, true, FromRedis
		k.failure.subscription = subscription
		c.store(ctx, key, &k.failure)
	}
	if view.Found && (!k.found || !preferLocal(k.entry, view.Entry)) {
		k.entry, k.found, k.source = view.Entry, true, FromRedis
	}
	if k.found && k.entry.subscription != subscription {
		k.entry.subscription = subscription
		c.store(ctx, key, &k.entry)
	}
}

// answer tells whether what is known answers the read without a load.
func (c *Cache[V]) answer(k lookup[V]) (r Result[V], done bool, err error) {
	now := c.now()
	switch {
	case k.found && fresh(c.policy, k.entry, now):
		if k.entry.Outcome != Value {
			c.stats.of(k.source).negativeHits.Add(1)
			r.Source, r.Outcome = k.source, k.entry.Outcome
			return r, true, k.entry.Err
		}
		c.stats.of(k.source).hits.Add(1)
		return c.result(k.entry, k.source), true, nil
	case k.hasFailure && fresh(c.policy, k.failure, now): // not to be loaded again yet
		switch {
		case k.current && c.mayBeStale(k, c.policy.StaleWhileRevalidate):
			return c.stale(k, StaleWhileRevalidate, nil), true, nil
		case k.current && k.failure.Outcome == Unavailable && c.mayBeStale(k, c.policy.StaleIfError):
			return c.stale(k, StaleIfError, k.failure.Err), true, nil
		}
		c.stats.of(k.failureSource).failureHits.Add(1)
		r.Source = k.failureSource
		return r, true, k.failure.Err
	}
	return r, false, nil
}

// offer shows those who wait what may be given out stale.
func (c *Cache[V]) offer(k lookup[V], offer func(Result[V])) {
	if k.current && c.mayBeStale(k, c.policy.window()) {
		r := c.result(k.entry, k.source)
		r.asked = k.asked
		offer(r)
	}
}

func (c *Cache[V]) mayBeStale(k lookup[V], window time.Duration) bool {
	return k.found && staleFor(c.policy, k.entry, window, c.now())
}

func (c *Cache[V]) stale(k lookup[V], why Staleness, cause error) Result[V] {
	c.stats.of(k.source).stale.Add(1)
	r := c.result(k.entry, k.source)
	r.Stale, r.Cause = why, cause
	return r
}

func (c *Cache[V]) result(e Entry[V], s Source) Result[V] {
	return Result[V]{Entry: e, Source: s, FreshUntil: freshUntil(c.policy, e)}
}

// ttl is how long a store may keep an entry, and never longer than the policy says, even if it
// claims to have been fetched in the future.
func (c *Cache[V]) ttl(e Entry[V]) time.Duration {
	return min(keptUntil(c.policy, e).Sub(c.now()), c.policy.longest())
}

// store keeps an entry, or a failure beside it, in this process, and numbers it.
func (c *Cache[V]) store(ctx context.Context, key Key, e *Entry[V]) {
	if e.Outcome == Unavailable || e.Outcome == Error {
		key = key.ofFailure()
	}
	e.hash, e.stored = c.hash(key.id), c.stored.Add(1)
	c.memory.set(ctx, key, *e, c.ttl(*e))
}

package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"authentik-graphql/internal/telemetry/spans"
)

// ErrRevoked is returned for a resource that was revoked.
var ErrRevoked = errors.New("cache: the resource was revoked")

// Options are the options of a [Cache].
type Options struct {
	// Policy is that of every kind of resource that Policies does not name.
	Policy Policy
	// Policies are those of other kinds of resources, by the name that their keys have.
	Policies map[string]Policy
	// LoadTimeout bounds a load together with the lookups and stores around it.
	LoadTimeout time.Duration
	// Classify returns the outcome that an error of a [Loader] stands for.
	Classify func(error) Outcome
	// Now is the clock.
	Now func() time.Time
	// Spans makes the spans of reads; nil makes none.
	Spans *spans.Tracer
}

// Cache reads through memory and Redis.
type Cache[V any] struct {
	policy   Policy
	policies map[string]Policy
	timeout  time.Duration
	classify func(error) Outcome
	now      func() time.Time
	spans    *spans.Tracer
	codec    Codec[V]
	memory   Store
	redis    Shared // nil without Redis
	hash     func(ResourceID) ResourceHash

	flights *flights[V]
	// renewals are of leases. They may wait for Redis after their load has ended.
	renewals     sync.WaitGroup
	tombstones   *tombstones
	listVersions *listVersions
	stats        counters
	// stored numbers the entries that are stored in memory.
	stored atomic.Int64
}

// Loader asks the origin. Its error is returned as it is.
type Loader[V any] func(ctx context.Context) (Entry[V], error)

// New makes a cache over memory and, unless it is nil, over Redis.
func New[V any](o Options, codec Codec[V], memory Store, redis Shared) *Cache[V] {
	c := &Cache[V]{
		policy:     o.Policy,
		policies:   o.Policies,
		timeout:    o.LoadTimeout,
		classify:   o.Classify,
		now:        o.Now,
		spans:      o.Spans,
		codec:      codec,
		memory:     memory,
		redis:      redis,
		flights:    newFlights[V](o.LoadTimeout, o.Spans),
		tombstones: newTombstones(o.Now),
	}
	c.listVersions = newListVersions(redis, c.tombstones, &c.stats)
	if redis == nil {
		keys, _ := DeriveKeys(NewSecret()) // it has the right size
		c.hash = keys.ResourceHash
		return c
	}
	c.hash = redis.ResourceHash
	redis.Listen(func(hash ResourceHash) {
		c.stats.revocationsReceived.Add(1)
		c.tombstones.add(hash, c.tombstoneTTL())
	})
	return c
}

// Get returns the caller's value: from memory if it is fresh there, else by a flight that concurrent reads
// share. The flight looks into Redis, acquires the lease so that one process loads, loads, and stores the
// outcome.
//
// A stale value is returned at once within [Policy.StaleWhileRevalidate], while the flight goes on. Within
// [Policy.StaleIfError] it is returned if the origin is unavailable or the load takes a second.
//
// The error is load's or, for a moment after a load that failed, that of this load; [ErrRevoked] if the
// resource was revoked; or ctx's if ctx ends first.
func (c *Cache[V]) Get(ctx context.Context, key Key, load Loader[V]) (Result[V], error) {
	ctx, span := c.spans.Start(ctx, readSpan)
	revocations := c.tombstones.count()
	r, err := c.get(ctx, key, load)
	endSpan(span, r, err)
	if err != nil {
		return Result[V]{}, err
	}
	r.dependency = Dependency{key, r.number, revocations}
	return r, nil
}

func (c *Cache[V]) get(ctx context.Context, key Key, load Loader[V]) (Result[V], error) {
	if key == (Key{}) {
		return Result[V]{}, ErrBadKey
	}
	began := time.Now()
	known := newLookup(c, key)
	if c.Revoked(key.id) {
		return Result[V]{}, ErrRevoked
	}
	if known.current {
		if r, done, err := known.answer(); done {
			return r, err
		}
	}
	call, joined := c.flights.join(ctx, key, func(ctx context.Context, offer func(Result[V])) (Result[V], error) {
		f := fetch[V]{cache: c, key: key, load: load, offer: offer}
		return f.run(ctx)
	})
	if joined {
		c.stats.joined.Add(1)
	}
	if known.mayBeStale(known.policy.StaleWhileRevalidate) {
		return known.stale(StaleWhileRevalidate, nil), nil
	}
	if joined {
		_, wait := c.spans.Start(ctx, joinSpan, trace.WithLinks(trace.Link{SpanContext: call.span.SpanContext()}))
		defer wait.End()
	}
	return c.await(ctx, key, call, began)
}

// await waits for a flight until the caller's own deadline, or until the caller may use what the flight
// offers: at once within the window of revalidation, else when the load has taken a second.
func (c *Cache[V]) await(ctx context.Context, key Key, call *call[V], began time.Time) (Result[V], error) {
	policy := c.policyOf(key)
	accept := func(window time.Duration, why Staleness) (r Result[V], ok bool) {
		if r = *call.offer; !c.mayUse(key, r, window, began) {
			return r, false
		}
		c.stats.of(r.Source).stale.Add(1)
		r.Stale = why
		return r, true
	}
	offered := call.offered
	var waited <-chan time.Time
	for {
		select {
		case <-call.done:
			return call.result, call.err
		case <-offered:
			offered = nil
			if r, ok := accept(policy.StaleWhileRevalidate, StaleWhileRevalidate); ok {
				return r, nil
			}
			waited = time.After(staleWait - time.Since(call.began))
		case <-waited:
			waited = nil
			if r, ok := accept(policy.StaleIfError, StaleIfError); ok {
				return r, nil
			}
		case <-ctx.Done():
			return Result[V]{}, ctx.Err()
		}
	}
}

// mayUse checks an offer once more for a caller that may have joined late: after the value's time, or after a
// revocation that this process missed.
func (c *Cache[V]) mayUse(key Key, r Result[V], window time.Duration, began time.Time) bool {
	return staleFor(c.policyOf(key), r.Entry, window, c.now()) && !c.Revoked(key.id) &&
		(c.inSync(r.subscription) || !r.asked.Before(began))
}

// Peek returns the caller's value if it is cached and fresh. It does not ask the origin.
func (c *Cache[V]) Peek(ctx context.Context, key Key) (r Result[V], ok bool) {
	if key == (Key{}) || c.policyOf(key).TTL <= 0 || c.Revoked(key.id) {
		return r, false
	}
	known := newLookup(c, key)
	if c.redis != nil && !(known.current && known.fresh()) {
		subscription := c.redis.Subscription()
		view, err := c.redis.Read(ctx, key)
		if err != nil || view.Revoked {
			return r, false
		}
		known.merge(view, subscription)
	}
	if !known.fresh() || known.entry.Outcome != Value {
		return r, false
	}
	return known.result(), true
}

// Prime stores an entry in memory that the origin returned with another one, such as a row of a list.
// subscription is [Cache.Subscription] from before the origin was asked. Prime neither replaces a newer entry
// nor interferes with a load.
func (c *Cache[V]) Prime(key Key, e Entry[V], subscription int64) {
	if policy := c.policyOf(key); key == (Key{}) || policy.TTL <= 0 || !fresh(policy, e, c.now()) {
		return
	}
	c.flights.ifIdle(key, func() {
		if local, found := c.memory.Get(key); c.Revoked(key.id) || found && !local.FetchedAt.Before(e.FetchedAt) {
			return
		}
		stored := c.encode(e)
		stored.subscription = subscription
		c.store(key, &stored)
	})
}

// Subscription returns the generation of the subscription to revocations, for [Cache.Prime].
func (c *Cache[V]) Subscription() int64 {
	if c.redis == nil {
		return 0
	}
	return c.redis.Subscription()
}

// Drop deletes the caller's entry, which may be wrong.
func (c *Cache[V]) Drop(ctx context.Context, key Key) error {
	c.memory.Delete(key)
	if c.redis == nil {
		return nil
	}
	return c.redis.Delete(ctx, key)
}

// Revoke makes a resource a revoked one, for all callers and in all processes that share Redis: reads return
// [ErrRevoked], and no load that began earlier puts anything back. An error means that other processes may
// not know yet. They do not use a stale entry of the resource.
func (c *Cache[V]) Revoke(ctx context.Context, id ResourceID) error {
	c.addTombstone(id)
	defer c.addTombstone(id) // once more, to invalidate list versions that were read before Redis knew
	if c.redis == nil {
		return nil
	}
	return c.redis.Revoke(ctx, id, c.tombstoneTTL())
}

// Revoked reports whether this process knows a resource to be revoked.
func (c *Cache[V]) Revoked(id ResourceID) bool {
	return c.tombstones.has(func() ResourceHash { return c.hash(id) })
}

// ListVersion returns the version of a resource's lists, for [NewListKey].
func (c *Cache[V]) ListVersion(ctx context.Context, resource string) string {
	return c.listVersions.current(ctx, resource)
}

// Valid reports whether a read would now return the same entry from memory again: it is still there and
// fresh, its resource is not revoked, and no revocation can have been missed. A list is not valid after any
// revocation, nor if its version is not the present one.
func (c *Cache[V]) Valid(d Dependency, now time.Time) bool {
	e, found := c.memory.Get(d.key)
	if !found || e.Outcome != Value || e.number != d.number || !fresh(c.policyOf(d.key), e, now) || !c.inSync(e.subscription) {
		return false
	}
	if d.key.isList() {
		return c.tombstones.count() == d.revocations && c.listVersions.isCurrent(d.key.id.resource, d.key.listVersion)
	}
	return !c.Revoked(d.key.id)
}

// Stats returns the present counts.
func (c *Cache[V]) Stats() Stats { return c.stats.snapshot() }

// Close waits for loads until ctx ends and closes the stores.
func (c *Cache[V]) Close(ctx context.Context) error {
	err := c.flights.wait(ctx)
	if err == nil {
		c.renewals.Wait() // for one operation of Redis at most
	}
	c.memory.Close()
	if c.redis != nil {
		err = errors.Join(err, c.redis.Close())
	}
	return err
}

// inSync reports whether what Redis confirmed under a subscription may be used without asking it again.
func (c *Cache[V]) inSync(subscription int64) bool {
	return c.redis == nil || c.redis.InSync(subscription)
}

func (c *Cache[V]) addTombstone(id ResourceID) { c.tombstones.add(c.hash(id), c.tombstoneTTL()) }

// policyOf returns the policy of the kind of resource that a key is for.
func (c *Cache[V]) policyOf(key Key) Policy {
	if p, ok := c.policies[key.id.resource]; ok {
		return p
	}
	return c.policy
}

// tombstoneTTL is longer than any entry of any kind is kept, and longer than any load runs that began before the
// revocation.
func (c *Cache[V]) tombstoneTTL() time.Duration {
	longest := c.policy.longest()
	for _, p := range c.policies {
		longest = max(longest, p.longest())
	}
	return longest + min(c.timeout, 24*time.Hour) + 10*time.Second
}

// readMemory decodes the key's entry. The caller may modify the value but not its strings. An entry that
// cannot be decoded is a miss.
func (c *Cache[V]) readMemory(key Key) (e Encoded, value V, found bool) {
	if e, found = c.memory.Get(key); !found {
		return e, value, false
	}
	value, err := c.decode(e)
	return e, value, err == nil
}

// store keeps an entry in memory, or a failure beside it, under a number of its own.
func (c *Cache[V]) store(key Key, e *Encoded) {
	if e.Outcome.fails() {
		key = key.ofFailure()
	}
	e.number = c.stored.Add(1)
	c.memory.Set(key, *e, c.ttl(key, *e))
}

// ttl returns how long an entry is kept: never longer than the policy allows, even if the entry claims to
// have been fetched in the future.
func (c *Cache[V]) ttl(key Key, e Encoded) time.Duration {
	policy := c.policyOf(key)
	return min(keptUntil(policy, e).Sub(c.now()), policy.longest())
}

func (c *Cache[V]) encode(e Entry[V]) Encoded {
	if e.Outcome != Value {
		return withValue(e, "")
	}
	return withValue(e, string(c.codec.Encode(make([]byte, 0, 4<<10), e.Value)))
}

func (c *Cache[V]) decode(e Encoded) (value V, err error) {
	if e.Outcome != Value {
		return value, nil
	}
	return c.codec.Decode(e.Value)
}

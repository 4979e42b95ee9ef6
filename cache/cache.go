package cache

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"authentik-graphql/internal/telemetry/spans"
)

// ErrRevoked says that the row was revoked: nobody can have it any more.
var ErrRevoked = errors.New("cache: the row was revoked")

// Options of a [Cache].
type Options struct {
	Policy Policy
	// LoadTimeout bounds a load together with the stores around it.
	LoadTimeout time.Duration
	// Classify tells what an error of a [Loader] means; without it every error is [Error].
	Classify func(error) Outcome
	// Now is the clock; time.Now.
	Now func() time.Time
	// Spans makes the spans of reads; nil makes none.
	Spans *spans.Tracer
}

// Cache reads through two levels of stores.
type Cache[V any] struct {
	policy     Policy
	timeout    time.Duration
	classify   func(error) Outcome
	hash       func(ResourceID) ResourceHash
	now        func() time.Time
	memory     encodedStore[V]
	redis      Shared[V] // nil without Redis
	spans      *spans.Tracer
	flights    *flights[Result[V]]
	tombstones *tombstones
	// versions are what this process knows of each resource's lists.
	listVersions listVersions
	// renewers are those that may still wait for Redis after their load has ended.
	renewers sync.WaitGroup
	stats    counters
	// stored numbers the entries that were put into memory.
	stored atomic.Int64
}

// Loader asks the origin. Its error goes to the caller as it is.
type Loader[V any] func(ctx context.Context) (Entry[V], error)

// New makes a cache over a memory, in which the codec keeps values, and, unless it is nil, a second.
func New[V any](o Options, codec Codec[V], first Store[string], second Shared[V]) *Cache[V] {
	if o.Classify == nil {
		o.Classify = func(error) Outcome { return Error }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Cache[V]{
		policy:     o.Policy,
		timeout:    o.LoadTimeout,
		classify:   o.Classify,
		now:        o.Now,
		memory:     encodedStore[V]{store: first, codec: codec},
		redis:      second,
		spans:      o.Spans,
		flights:    newFlights[Result[V]](o.LoadTimeout),
		tombstones: newTombstones(o.Now),
	}
	c.flights.spans, c.flights.ended = o.Spans, c.ended
	if second == nil {
		keys, _ := DeriveKeys(NewSecret()) // it has the right size
		c.hash = keys.ResourceHash
		return c
	}
	c.hash = second.ResourceHash
	second.Listen(func(t ResourceHash) {
		c.stats.revocationsReceived.Add(1)
		c.tombstones.add(t, c.tombstoneTTL())
		c.listVersions.clear()
	})
	return c
}

// Get returns the caller's value. The order of steps: the memory; the flight that others may
// wait for as well; in it the Redis; the lease, so that one process loads; the load, whose
// outcome is then stored. Whatever is fresh ends them. A value that is stale and may be given out
// ends them at once within [Policy.StaleWhileRevalidate], while the flight goes on; otherwise when
// the load has failed or taken a second.
//
// Get returns load's error or, for a moment after it, that of the load before; [ErrRevoked] if the
// row was revoked; and ctx's error if ctx ends first.
func (c *Cache[V]) Get(ctx context.Context, key Key, load Loader[V]) (Result[V], error) {
	ctx, span := c.spans.Start(ctx, readSpan)
	revocations := c.tombstones.count()
	r, err := c.get(ctx, key, load)
	c.ended(span, r, err)
	if err != nil {
		return Result[V]{}, err
	}
	r.dependency = Dependency{key, r.stored, revocations}
	return r, nil
}

func (c *Cache[V]) get(ctx context.Context, key Key, load Loader[V]) (Result[V], error) {
	if key == (Key{}) {
		return Result[V]{}, ErrBadKey
	}
	began := time.Now()
	k := c.lookupMemory(ctx, key)
	if c.entryRevoked(key, k) {
		return Result[V]{}, ErrRevoked
	}
	if k.current {
		if r, done, err := c.answer(k); done {
			return r, err
		}
	}
	call, joined := c.flights.join(ctx, key, func(ctx context.Context, offer func(Result[V])) (Result[V], error) {
		return c.fetch(ctx, key, load, offer)
	})
	if joined {
		c.stats.joined.Add(1)
	}
	if k.current && c.mayBeStale(k, c.policy.StaleWhileRevalidate) {
		return c.stale(k, StaleWhileRevalidate, nil), nil
	}
	if joined {
		_, wait := c.spans.StartLinked(ctx, joinSpan, call.span)
		defer wait.End()
	}
	return c.await(ctx, key, call, began)
}

// await waits for a flight by the caller's own deadline, or until what the flight offers may be
// given out: at once within the window of revalidation, else when the load has taken a second.
func (c *Cache[V]) await(ctx context.Context, key Key, call *call[Result[V]], began time.Time) (Result[V], error) {
	give := func(window time.Duration, why Staleness) (r Result[V], ok bool) {
		if !c.mayGive(key, *call.offer, window, began) {
			return r, false
		}
		r = *call.offer
		c.stats.of(r.Source).stale.Add(1)
		r.Stale = why
		return r, true
	}
	offered := call.offered
	var enough <-chan time.Time
	for {
		select {
		case <-call.done:
			return call.val, call.err
		case <-offered:
			offered = nil
			if r, ok := give(c.policy.StaleWhileRevalidate, StaleWhileRevalidate); ok {
				return r, nil
			}
			timer := time.NewTimer(staleWait - time.Since(call.began))
			defer timer.Stop()
			enough = timer.C
		case <-enough:
			enough = nil
			if r, ok := give(c.policy.StaleIfError, StaleIfError); ok {
				return r, nil
			}
		case <-ctx.Done():
			return Result[V]{}, ctx.Err()
		}
	}
}

// mayGive judges what a flight offered some time ago by the present: who joins late may come after
// the value's time, or after a revocation of which this process has not heard.
func (c *Cache[V]) mayGive(key Key, r Result[V], window time.Duration, began time.Time) bool {
	return staleFor(c.policy, r.Entry, window, c.now()) && !c.isRevoked(key) &&
		(c.redis == nil || c.redis.InSync(r.subscription) || !r.asked.Before(began))
}

// fetch is what a flight does: the steps from the memory on.
func (c *Cache[V]) fetch(ctx context.Context, key Key, load Loader[V], offer func(Result[V])) (Result[V], error) {
	if c.policy.TTL <= 0 {
		c.stats.loads.Add(1)
		e, err := load(ctx)
		if err == nil && c.isRevoked(key) {
			err = ErrRevoked
		}
		if err != nil {
			return Result[V]{}, err
		}
		return c.result(e, FromOrigin), nil
	}
	k := c.lookupMemory(ctx, key) // a flight may have landed since the first look
	if k.current {
		if r, done, err := c.answer(k); done {
			return r, err
		}
	}
	if c.redis == nil {
		c.offer(k, offer)
		return c.load(ctx, key, k, "", load)
	}
	token := rand.Text()
	if r, done, err := c.lease(ctx, key, &k, token, offer); done {
		return r, err
	}
	return c.load(ctx, key, k, token, load)
}

// lease asks the Redis until that has an answer, or the lease is ours, or it fails twice in a
// row: then done is false and k says what is known.
func (c *Cache[V]) lease(ctx context.Context, key Key, k *lookup[V], token string, offer func(Result[V])) (r Result[V], done bool, err error) {
	var wait spans.Span
	defer func() { wait.End() }()
	failures, untrusted := 0, 0
	k.current = false // until Redis has said so
	subscription, asked := c.redis.Subscription(), time.Now()
	view, err := c.look(ctx, key, *k, token)
	for pause := time.Duration(0); ; pause = min(max(2*pause, firstPause), longestPause) {
		switch {
		case err == nil:
			failures = 0
			c.stats.untrusted.Add(int64(max(view.Untrusted-untrusted, 0))) // each once, however often it is seen
			untrusted = max(untrusted, view.Untrusted)
			if view.Revoked {
				c.tombstones.add(c.hash(key.id), c.tombstoneTTL())
				return r, true, ErrRevoked
			}
			c.merge(ctx, key, k, view, subscription)
			k.asked = asked
			if r, done, err = c.answer(*k); done {
				if view.Acquired {
					c.release(ctx, key, token)
				}
				return r, true, err
			}
			c.offer(*k, offer)
			if k.acquired = view.Acquired; k.acquired {
				return r, false, nil
			}
		default:
			c.stats.redisErrors.Add(1)
			// One slow answer on a busy machine must not cost the origin a load.
			if failures++; failures < 2 && !errors.Is(err, errResting) {
				break
			}
			return c.answer(*k)
		}
		if pause == firstPause {
			ctx, wait = c.spans.Start(ctx, leaseSpan)
		}
		if pause > 0 {
			c.stats.leaseWaits.Add(1)
			if err := sleep(ctx, pause/2+mathrand.N(pause/2)); err != nil {
				if k.current && c.mayBeStale(*k, c.policy.StaleIfError) {
					return c.stale(*k, StaleIfError, err), true, nil
				}
				return r, true, err
			}
		}
		subscription, asked = c.redis.Subscription(), time.Now()
		view, err = c.redis.Acquire(ctx, key, token, false)
	}
}

// look asks the Redis first: for a word on what is here, if that may then be given out as
// fresh; else for what is there, and for the lease at once if that is nothing.
func (c *Cache[V]) look(ctx context.Context, key Key, k lookup[V], token string) (View[V], error) {
	now := c.now()
	if k.found && fresh(c.policy, k.entry, now) || k.hasFailure && fresh(c.policy, k.failure, now) {
		return c.redis.Read(ctx, key)
	}
	return c.redis.Acquire(ctx, key, token, true)
}

const (
	// leaseTTL is how long a lease lives that is not renewed: what a process that dies costs others.
	leaseTTL = 2 * time.Second
	// leaseRenewal is how often a load renews its lease.
	leaseRenewal = 500 * time.Millisecond
	// firstPause and longestPause bound how often those who wait for a lease look at it.
	firstPause   = 8 * time.Millisecond
	longestPause = 128 * time.Millisecond
)

// load asks the origin and stores the outcome. The lease is renewed meanwhile, if it is ours; if it
// is not, Redis fails, and only a denial is told to it, for it forbids what Redis may have.
func (c *Cache[V]) load(ctx context.Context, key Key, k lookup[V], token string, load Loader[V]) (Result[V], error) {
	c.stats.loads.Add(1)
	stop, subscription := func() {}, int64(0)
	if k.acquired {
		subscription = c.redis.Subscription()
		stop = c.renew(ctx, key, token)
		defer stop() // if load panics
	}
	e, err := load(ctx)
	stop()
	if err != nil {
		e = Entry[V]{Err: err, Outcome: c.classify(err), FetchedAt: c.now()}
	}
	c.memory.encode(&e)
	committed, revoked := c.redis == nil, false
	if k.acquired || c.redis != nil && e.Outcome.denies() {
		revoked, err = c.redis.Commit(ctx, key, token, e, c.ttl(e))
		if committed = err == nil; !committed {
			c.stats.redisErrors.Add(1)
		}
	}
	if !committed { // Redis does not say that the row is not revoked
		subscription = 0
		k.current = k.current && c.redis.InSync(k.entry.subscription)
	}
	if revoked {
		c.tombstones.add(c.hash(key.id), c.tombstoneTTL())
	}
	if revoked || c.isRevoked(key) {
		return Result[V]{}, ErrRevoked
	}
	e.subscription = subscription
	c.store(ctx, key, &e)
	switch e.Outcome {
	case Value:
		r := c.result(e, FromOrigin)
		r.Replaced = k.found && k.entry.Outcome == Value
		return r, nil
	case Unavailable:
		if k.current && c.mayBeStale(k, c.policy.StaleIfError) {
			return c.stale(k, StaleIfError, e.Err), nil
		}
	}
	return Result[V]{}, e.Err
}

// renew keeps a lease alive until stop is called, which does not wait for Redis. Most loads end
// before the first renewal, and cost no goroutine.
func (c *Cache[V]) renew(ctx context.Context, key Key, token string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	c.renewers.Add(1)
	first := time.AfterFunc(leaseRenewal, func() {
		defer c.renewers.Done()
		for ctx.Err() == nil && c.renewOnce(ctx, key, token) {
			_ = sleep(ctx, leaseRenewal)
		}
	})
	return func() {
		cancel()
		if first.Stop() {
			c.renewers.Done()
		}
	}
}

// renewOnce tells whether the lease may still be ours. If it is not, somebody else loads by now; our
// load is of use to those who wait here.
func (c *Cache[V]) renewOnce(ctx context.Context, key Key, token string) bool {
	held, err := c.redis.Renew(ctx, key, token)
	switch {
	case ctx.Err() != nil: // the load has ended, and so has the lease
		return false
	case err != nil:
		c.stats.redisErrors.Add(1)
	case !held:
		c.stats.leasesLost.Add(1)
		return false
	}
	return true
}

// release gives back a lease that is not needed.
func (c *Cache[V]) release(ctx context.Context, key Key, token string) {
	if _, err := c.redis.Commit(ctx, key, token, Entry[V]{}, 0); err != nil {
		c.stats.redisErrors.Add(1)
	}
}

// Close waits for running loads until ctx ends and closes the stores.
func (c *Cache[V]) Close(ctx context.Context) error {
	err := c.flights.wait(ctx)
	if err == nil {
		c.renewers.Wait() // of loads that have ended, so for an operation of Redis at most
	}
	err = errors.Join(err, c.memory.store.Close())
	if c.redis != nil {
		err = errors.Join(err, c.redis.Close())
	}
	return err
}

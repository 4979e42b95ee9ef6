package cache

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const (
	// leaseRenewal is how often a load renews its lease.
	leaseRenewal = 500 * time.Millisecond
	// firstPause is how long a fetch pauses at most before it looks again at the lease of another process.
	// The pause doubles pauseDoublings times.
	firstPause     = 8 * time.Millisecond
	pauseDoublings = 4
)

// fetch is what a flight does: look into memory again, then into Redis, until there is an answer or the lease
// is acquired; load; store the outcome.
type fetch[V any] struct {
	cache *Cache[V]
	key   Key
	load  Loader[V]
	// offer shows a stale result to the callers that wait.
	offer func(Result[V])
	known lookup[V]
	// token is the lease's, if it is acquired.
	token    string
	acquired bool
	// untrusted counts the values of the key that could not be trusted, each once.
	untrusted int
}

func (f *fetch[V]) run(ctx context.Context) (Result[V], error) {
	if f.cache.policyOf(f.key).TTL <= 0 {
		return f.loadOnly(ctx)
	}
	f.known = newLookup(f.cache, f.key) // another flight may have ended since the caller looked
	if f.known.current {
		if r, done, err := f.known.answer(); done {
			return r, err
		}
	}
	if f.cache.redis == nil {
		f.offerStale()
	} else if r, done, err := f.askRedis(ctx); done {
		return r, err
	}
	return f.loadAndStore(ctx)
}

// askRedis asks Redis until it has an answer, the lease is acquired, or Redis has failed twice in a row: one
// slow reply must not cost the origin a load. done is false if the fetch is to load.
func (f *fetch[V]) askRedis(ctx context.Context) (r Result[V], done bool, err error) {
	var wait trace.Span = noop.Span{}
	defer func() { wait.End() }()
	f.token = rand.Text()
	f.known.current = false // until Redis has replied
	failed := false
	for attempt := 0; ; attempt++ {
		if attempt == 2 {
			ctx, wait = f.cache.spans.Start(ctx, leaseSpan)
		}
		if attempt >= 2 {
			if err := f.pause(ctx, attempt-2); err != nil {
				if f.known.mayBeStale(f.known.policy.StaleIfError) {
					return f.known.stale(StaleIfError, err), true, nil
				}
				return r, true, err
			}
		}
		subscription, asked := f.cache.redis.Subscription(), time.Now()
		view, err := f.look(ctx, attempt == 0)
		if err != nil {
			f.cache.stats.redisErrors.Add(1)
			if failed || errors.Is(err, errBreakerOpen) {
				return f.known.answer()
			}
			failed = true
			continue
		}
		failed = false
		f.known.asked = asked
		if r, done, err := f.learn(ctx, view, subscription); done || f.acquired {
			return r, done, err
		}
	}
}

// look asks Redis. The first time it only asks for confirmation of a fresh entry from memory, or acquires the
// lease only if Redis has nothing either.
func (f *fetch[V]) look(ctx context.Context, first bool) (View, error) {
	if first && (f.known.fresh() || f.known.failed()) {
		return f.cache.redis.Read(ctx, f.key)
	}
	return f.cache.redis.Acquire(ctx, f.key, f.token, first)
}

// learn adds what Redis has to what is known.
func (f *fetch[V]) learn(ctx context.Context, view View, subscription int64) (r Result[V], done bool, err error) {
	if view.Revoked {
		f.cache.addTombstone(f.key.id)
		return r, true, ErrRevoked
	}
	untrusted := f.known.merge(view, subscription)
	f.cache.stats.untrusted.Add(int64(max(untrusted-f.untrusted, 0)))
	f.untrusted = max(untrusted, f.untrusted)
	if r, done, err = f.known.answer(); done {
		if view.Acquired { // for nothing
			_, _ = f.commit(ctx, Encoded{}, 0)
		}
		return r, true, err
	}
	f.offerStale()
	f.acquired = view.Acquired
	return r, false, nil
}

// pause waits while another process loads.
func (f *fetch[V]) pause(ctx context.Context, doublings int) error {
	f.cache.stats.leaseWaits.Add(1)
	pause := firstPause << min(doublings, pauseDoublings)
	return sleep(ctx, pause/2+mathrand.N(pause/2))
}

// offerStale offers what callers may use before the load ends.
func (f *fetch[V]) offerStale() {
	if f.known.mayBeStale(f.known.policy.window()) {
		f.offer(f.known.result())
	}
}

// loadOnly asks the origin for what is not to be stored.
func (f *fetch[V]) loadOnly(ctx context.Context) (Result[V], error) {
	f.cache.stats.loads.Add(1)
	e, err := f.load(ctx)
	switch {
	case err != nil:
		return Result[V]{Entry: Entry[V]{Outcome: f.cache.classify(err)}}, err
	case f.cache.Revoked(f.key.id):
		return Result[V]{}, ErrRevoked
	}
	return Result[V]{Entry: e, FreshUntil: e.FetchedAt}, nil
}

// loadAndStore asks the origin and stores the outcome. Without the lease, which means that Redis fails, only
// a denial is committed there, because it invalidates what Redis may have.
func (f *fetch[V]) loadAndStore(ctx context.Context) (Result[V], error) {
	c := f.cache
	c.stats.loads.Add(1)
	subscription, stop := int64(0), func() {}
	if f.acquired {
		subscription, stop = c.redis.Subscription(), f.renewLease(ctx)
	}
	e, err := f.load(ctx)
	stop()
	if err != nil {
		e = Entry[V]{Err: err, Outcome: c.classify(err), FetchedAt: c.now()}
	}
	stored, committed, revoked := c.encode(e), c.redis == nil, false
	if f.acquired || c.redis != nil && e.denies() {
		revoked, err = f.commit(ctx, stored, c.ttl(f.key, stored))
		committed = err == nil
	}
	if !committed { // and so Redis has not said that the resource is not revoked
		subscription = 0
		f.known.current = f.known.current && c.redis.InSync(f.known.entry.subscription)
	}
	if revoked {
		c.addTombstone(f.key.id)
	}
	if c.Revoked(f.key.id) {
		return Result[V]{}, ErrRevoked
	}
	stored.subscription = subscription
	c.store(f.key, &stored)
	switch {
	case e.Outcome == Value:
		replaced := f.known.found && f.known.entry.Outcome == Value
		r := Result[V]{Entry: withValue(stored, e.Value), FreshUntil: freshUntil(f.known.policy, stored), Replaced: replaced}
		return r, nil
	case e.Outcome == Unavailable && f.known.mayBeStale(f.known.policy.StaleIfError):
		return f.known.stale(StaleIfError, e.Err), nil
	}
	return Result[V]{Entry: Entry[V]{Outcome: e.Outcome}}, e.Err
}

// commit ends the lease and stores an outcome in Redis.
func (f *fetch[V]) commit(ctx context.Context, e Encoded, ttl time.Duration) (revoked bool, err error) {
	revoked, err = f.cache.redis.Commit(ctx, f.key, f.token, e, ttl)
	if err != nil {
		f.cache.stats.redisErrors.Add(1)
	}
	return revoked, err
}

// renewLease keeps the lease alive until stop is called, which does not wait for Redis, or the load panics.
func (f *fetch[V]) renewLease(ctx context.Context) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	f.cache.renewals.Go(func() {
		for sleep(ctx, leaseRenewal) == nil && f.renewOnce(ctx) {
		}
	})
	return stop
}

// renewOnce reports whether the lease may still be ours. If it is not, another process loads by now, but our
// load is of use to those who wait here.
func (f *fetch[V]) renewOnce(ctx context.Context) bool {
	acquired, err := f.cache.redis.Renew(ctx, f.key, f.token)
	switch {
	case ctx.Err() != nil: // the load has ended, and its lease with it
		return false
	case err != nil:
		f.cache.stats.redisErrors.Add(1)
	case !acquired:
		f.cache.stats.leasesLost.Add(1)
		return false
	}
	return true
}

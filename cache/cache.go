package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Store keeps entries. An implementation must be safe for concurrent use, must not give out an
// entry after its ttl, must not keep one whose ttl is not positive, and must report an entry it does
// not have as not found, not as an error. An error means that the store could not be asked, or that
// what it gave cannot be trusted; no entry is returned then.
type Store[V any] interface {
	Get(ctx context.Context, key Key) (e Entry[V], found bool, err error)
	Set(ctx context.Context, key Key, e Entry[V], ttl time.Duration) error
	Close() error
}

// Options of a [Cache].
type Options struct {
	Policy Policy
	// LoadTimeout bounds a load together with the stores around it.
	LoadTimeout time.Duration
	// Now is the clock; time.Now.
	Now func() time.Time
	// Logger gets the failures of the second level, at most one line every ten seconds.
	Logger *slog.Logger
}

// Cache reads through two levels of stores.
type Cache[V any] struct {
	policy  Policy
	now     func() time.Time
	log     *slog.Logger
	seldom  *rate.Sometimes
	first   Store[V]
	second  Store[V] // nil without Redis
	flights *flights[Result[V]]
	stats   counters
}

// Source tells where a value came from.
type Source int

// The sources of a [Result].
const (
	// Loaded from the origin for this read or for one that this read waited with.
	Loaded Source = iota
	// FirstLevel is this process's memory.
	FirstLevel
	// SecondLevel is Redis.
	SecondLevel
)

// Result is an entry as it was read.
type Result[V any] struct {
	Entry[V]
	Source Source
	// FreshUntil is when the entry stops being fresh.
	FreshUntil time.Time
}

// Loader asks the origin. Its error goes to the caller as it is and is not kept.
type Loader[V any] func(ctx context.Context) (Entry[V], error)

// New makes a cache over a first level and, unless it is nil, a second.
func New[V any](o Options, first, second Store[V]) *Cache[V] {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Cache[V]{
		policy:  o.Policy,
		now:     o.Now,
		log:     o.Logger,
		seldom:  &rate.Sometimes{Interval: 10 * time.Second},
		first:   first,
		second:  second,
		flights: newFlights[Result[V]](o.LoadTimeout),
	}
}

// Get returns the caller's value, in this order: fresh from the first level; with others who want
// the same; fresh from the second level; from load, whose value is then stored. It returns load's
// error, or ctx's if ctx ends first.
func (c *Cache[V]) Get(ctx context.Context, key Key, load Loader[V]) (Result[V], error) {
	if key == (Key{}) {
		return Result[V]{}, ErrBadKey
	}
	if r, ok := c.readFirst(ctx, key); ok {
		return r, nil
	}
	r, joined, err := c.flights.do(ctx, key, func(ctx context.Context) (Result[V], error) {
		if r, ok := c.readFirst(ctx, key); ok { // a flight may have landed since the first look
			return r, nil
		}
		r, ok, answers := c.readSecond(ctx, key)
		if !ok {
			c.stats.loads.Add(1)
			e, err := load(ctx)
			if err != nil {
				return Result[V]{}, err
			}
			r = c.result(e, Loaded)
			if answers {
				c.storeSecond(ctx, key, r)
			}
		}
		c.storeFirst(ctx, key, r)
		return r, nil
	})
	if joined {
		c.stats.joined.Add(1)
	}
	return r, err
}

func (c *Cache[V]) result(e Entry[V], s Source) Result[V] {
	return Result[V]{Entry: e, Source: s, FreshUntil: c.policy.FreshUntil(e.FetchedAt, e.EndsAt)}
}

// usable makes a result of what a store gave, if it is there and fresh.
func (c *Cache[V]) usable(e Entry[V], found bool, s Source) (Result[V], bool) {
	if !found || !c.policy.Fresh(e.FetchedAt, e.EndsAt, c.now()) {
		return Result[V]{}, false
	}
	return c.result(e, s), true
}

func (c *Cache[V]) readFirst(ctx context.Context, key Key) (Result[V], bool) {
	e, found, _ := c.first.Get(ctx, key) // memory does not fail
	r, ok := c.usable(e, found, FirstLevel)
	if ok {
		c.stats.firstHits.Add(1)
	}
	return r, ok
}

// readSecond also tells whether the second level answers at all: one that has just let a read wait
// in vain is not made to do so with a write.
func (c *Cache[V]) readSecond(ctx context.Context, key Key) (r Result[V], ok, answers bool) {
	if c.second == nil || c.policy.TTL <= 0 {
		return r, false, false
	}
	e, found, err := c.second.Get(ctx, key)
	switch {
	case errors.Is(err, errUntrusted):
		c.stats.untrusted.Add(1)
	case err != nil:
		c.failed(ctx, err)
		return r, false, false
	}
	r, ok = c.usable(e, found, SecondLevel)
	if ok {
		c.stats.secondHits.Add(1)
	}
	return r, ok, true
}

// ttl is how long a store may keep a result: while it is fresh, and never longer than the policy
// says, even if it claims to have been fetched in the future.
func (c *Cache[V]) ttl(r Result[V]) time.Duration {
	return min(r.FreshUntil.Sub(c.now()), c.policy.TTL)
}

func (c *Cache[V]) storeFirst(ctx context.Context, key Key, r Result[V]) {
	_ = c.first.Set(ctx, key, r.Entry, c.ttl(r)) // memory does not fail
}

func (c *Cache[V]) storeSecond(ctx context.Context, key Key, r Result[V]) {
	if err := c.second.Set(ctx, key, r.Entry, c.ttl(r)); err != nil {
		c.failed(ctx, err)
	}
}

// failed counts a failure of the second level and logs one every ten seconds.
func (c *Cache[V]) failed(ctx context.Context, err error) {
	n := c.stats.secondErrors.Add(1)
	c.seldom.Do(func() {
		c.log.WarnContext(ctx, "Redis cannot be used; answers come from memory and authentik",
			"error", err, "failures", n)
	})
}

// Close waits for running loads until ctx ends and closes the stores.
func (c *Cache[V]) Close(ctx context.Context) error {
	err := c.flights.wait(ctx)
	err = errors.Join(err, c.first.Close())
	if c.second != nil {
		err = errors.Join(err, c.second.Close())
	}
	return err
}

type counters struct {
	firstHits, secondHits, loads, joined, untrusted, secondErrors atomic.Int64
}

// Stats are counts since the start.
type Stats struct {
	// FirstHits and SecondHits are reads answered by a level, Loads those that asked the origin,
	// Joined those that waited for another's flight.
	FirstHits, SecondHits, Loads, Joined int64
	// Untrusted are values in the second level that we did not seal under their name.
	Untrusted int64
	// SecondErrors are operations on which the second level failed.
	SecondErrors int64
}

// Stats returns a copy of the counts.
func (c *Cache[V]) Stats() Stats {
	return Stats{
		FirstHits:    c.stats.firstHits.Load(),
		SecondHits:   c.stats.secondHits.Load(),
		Loads:        c.stats.loads.Load(),
		Joined:       c.stats.joined.Load(),
		Untrusted:    c.stats.untrusted.Load(),
		SecondErrors: c.stats.secondErrors.Load(),
	}
}

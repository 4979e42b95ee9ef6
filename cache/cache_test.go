package cache_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// steps records the steps of a read.
type steps struct {
	list []string
	ttl  time.Duration // of the last entry stored in memory
}

func (s *steps) add(step string) { s.list = append(s.list, step) }

// recordingMemory records its steps, except those for failures, which every lookup of an entry that is not
// fresh includes.
type recordingMemory struct {
	cache.Store
	*steps
}

func (m recordingMemory) Get(key cache.Key) (cache.Encoded, bool) {
	if key == cachetest.Key(nil, "alice", 1) {
		m.add("memory get")
	}
	return m.Store.Get(key)
}

func (m recordingMemory) Set(key cache.Key, e cache.Encoded, ttl time.Duration) {
	m.add("memory set")
	m.ttl = ttl
	m.Store.Set(key, e, ttl)
}

// recordingRedis records its steps.
type recordingRedis struct {
	cache.Shared
	*steps
}

func (s recordingRedis) Read(ctx context.Context, key cache.Key) (cache.View, error) {
	s.add("read")
	return s.Shared.Read(ctx, key)
}

func (s recordingRedis) Acquire(ctx context.Context, key cache.Key, token string, onlyIfMissing bool) (cache.View, error) {
	if onlyIfMissing {
		s.add("look")
	} else {
		s.add("acquire")
	}
	return s.Shared.Acquire(ctx, key, token, onlyIfMissing)
}

func (s recordingRedis) Commit(ctx context.Context, key cache.Key, token string, e cache.Entry[string], ttl time.Duration) (bool, error) {
	s.add("commit")
	return s.Shared.Commit(ctx, key, token, e, ttl)
}

// landing is a memory that has a value from the second lookup on, as if another flight had ended in between.
type landing struct {
	cache.Store
	read int
}

func (l *landing) Get(key cache.Key) (cache.Encoded, bool) {
	if l.read++; l.read <= 2 { // for the entry and the failure
		return cache.Encoded{}, false
	}
	return l.Store.Get(key)
}

// overtaken is a Redis in which another process stores a value before the lease is acquired.
type overtaken struct {
	cache.Shared
	value cache.Entry[string]
}

func (s overtaken) Acquire(ctx context.Context, key cache.Key, token string, onlyIfMissing bool) (cache.View, error) {
	if !onlyIfMissing {
		_ = cachetest.Put(s.Shared, key, s.value, ttl)
	}
	return s.Shared.Acquire(ctx, key, token, onlyIfMissing)
}

func TestOrderOfSteps(t *testing.T) {
	clock := cachetest.NewClock()
	key := cachetest.Key(t, "alice", 1)
	kept := cache.Entry[string]{Value: "kept", FetchedAt: clock.Now()}
	old := cache.Entry[string]{Value: "old", FetchedAt: clock.Now().Add(-ttl)}
	failed := cache.Entry[string]{Err: errUnavailable, Outcome: cache.Unavailable, FetchedAt: clock.Now().Add(-ttl)}
	inMemory := func(e cache.Entry[string]) cache.Store {
		m := newMemory(t, clock.Now)
		m.Set(key, e, ttl)
		return m
	}
	process := func(entries ...cache.Entry[string]) *cachetest.Process {
		p := cachetest.NewFakeRedis(keysOf(t, 1), clock.Now).Process()
		for _, e := range entries {
			_ = cachetest.Put(p, key, e, ttl)
		}
		return p
	}
	down := process()
	down.Cut(true)
	for _, tt := range []struct {
		name   string
		ttl    time.Duration
		memory cache.Store
		redis  cache.Shared
		want   []string
		from   cache.Source
	}{
		{"hit in memory", ttl, inMemory(kept), nil,
			[]string{"memory get"}, cache.FromMemory},
		{"another flight ends between two lookups", ttl, &landing{Store: inMemory(kept)}, nil,
			[]string{"memory get", "memory get"}, cache.FromMemory},
		{"miss without Redis", ttl, empty{}, nil,
			[]string{"memory get", "memory get", "load", "memory set"}, cache.FromOrigin},
		{"hit in memory that Redis has not confirmed", ttl, inMemory(kept), process(),
			[]string{"memory get", "memory get", "read", "memory set"}, cache.FromMemory},
		{"hit in Redis", ttl, empty{}, process(kept),
			[]string{"memory get", "memory get", "look", "memory set"}, cache.FromRedis},
		{"hit in Redis, stale in memory", ttl, inMemory(old), process(kept),
			[]string{"memory get", "memory get", "look", "memory set"}, cache.FromRedis},
		{"miss", ttl, empty{}, process(),
			[]string{"memory get", "memory get", "look", "load", "commit", "memory set"}, cache.FromOrigin},
		{"miss in Redis, stale in memory", ttl, inMemory(old), process(),
			[]string{"memory get", "memory get", "look", "memory set", "load", "commit", "memory set"}, cache.FromOrigin},
		{"stale in Redis", ttl, empty{}, process(old),
			[]string{"memory get", "memory get", "look", "memory set", "acquire", "load", "commit", "memory set"}, cache.FromOrigin},
		{"an old failure in Redis", ttl, empty{}, process(failed),
			[]string{"memory get", "memory get", "look", "memory set", "acquire", "load", "commit", "memory set"}, cache.FromOrigin},
		{"another process stores before the lease is acquired", ttl, empty{}, overtaken{process(old), kept},
			[]string{"memory get", "memory get", "look", "memory set", "acquire", "memory set", "commit"}, cache.FromRedis},
		{"Redis fails", ttl, empty{}, down,
			[]string{"memory get", "memory get", "look", "acquire", "load", "memory set"}, cache.FromOrigin},
		{"Redis fails, hit in memory", ttl, inMemory(kept), down,
			[]string{"memory get", "memory get", "read", "acquire"}, cache.FromMemory},
		{"no ttl, no Redis", 0, empty{}, process(kept),
			[]string{"memory get", "load"}, cache.FromOrigin},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s steps
			var shared cache.Shared
			if tt.redis != nil {
				shared = recordingRedis{tt.redis, &s}
			}
			c := newCacheOf(cache.Policy{TTL: tt.ttl}, clock.Now, recordingMemory{tt.memory, &s}, shared)
			r, err := c.Get(t.Context(), key, func(context.Context) (cache.Entry[string], error) {
				s.add("load")
				return cache.Entry[string]{Value: "loaded", FetchedAt: clock.Now()}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.list, tt.want) || r.Source != tt.from {
				t.Errorf("got %q from %d, want %q from %d", s.list, r.Source, tt.want, tt.from)
			}
			if slices.Contains(s.list, "memory set") && s.ttl != tt.ttl {
				t.Errorf("stored for %s, want %s", s.ttl, tt.ttl)
			}
		})
	}
}

func TestHitAfterMiss(t *testing.T) {
	clock := cachetest.NewClock()
	c, o, key := newCache(clock.Now, newMemory(t, clock.Now), nil), &origin{now: clock.Now}, cachetest.Key(t, "alice", 1)
	loaded := mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
	clock.Advance(ttl - 1)
	hit := mustGet(t, c, key, never(t), "value", cache.FromMemory)
	if hit.FetchedAt != loaded.FetchedAt || hit.FreshUntil != loaded.FreshUntil {
		t.Errorf("the times differ: %v, %v", hit, loaded)
	}
	if want := loaded.FetchedAt.Add(ttl); hit.FreshUntil != want {
		t.Errorf("fresh until %s, want %s", hit.FreshUntil, want)
	}
	clock.Advance(1)
	mustGet(t, c, key, o.returns("new"), "new", cache.FromOrigin)
	if got, want := c.Stats(), (cache.Stats{Memory: cache.ReadStats{Hits: 1}, Loads: 2}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestFreshness(t *testing.T) {
	const never = 1000 * time.Hour
	for _, tt := range []struct {
		name    string
		ttl     time.Duration
		fetched time.Duration // after the first read
		ends    time.Duration // after the first read
		hits    []time.Duration
		loads   []time.Duration // each is checked with a cache of its own
	}{
		{"for the ttl", ttl, 0, never, []time.Duration{0, ttl - 1}, []time.Duration{ttl}},
		{"until its end", ttl, 0, 2 * time.Second, []time.Duration{2*time.Second - 1}, []time.Duration{2 * time.Second}},
		{"for the ttl if it had ended before the fetch", ttl, 0, -time.Hour, []time.Duration{ttl - 1}, []time.Duration{ttl}},
		{"from the fetch, not from the store", ttl, -2 * time.Second, never, []time.Duration{3*time.Second - 1}, []time.Duration{3 * time.Second}},
		{"not at all if it is as old as the ttl", ttl, -ttl, never, nil, []time.Duration{0}},
		{"with a fetch slightly in the future", ttl, time.Second, never, []time.Duration{0, ttl - 1}, []time.Duration{ttl}},
		{"not now with a fetch in the future", ttl, 2 * time.Second, never, nil, []time.Duration{0}},
		{"not later with a fetch in the future", ttl, time.Hour, never, nil, []time.Duration{time.Hour}},
		{"not without a ttl", 0, 0, never, nil, []time.Duration{0}},
		{"not without a ttl and with a fetch in the future", 0, time.Second, never, nil, []time.Duration{0}},
	} {
		for _, at := range append(slices.Clone(tt.hits), tt.loads...) {
			t.Run(tt.name+" after "+at.String(), func(t *testing.T) {
				clock := cachetest.NewClock()
				c := newCacheOf(cache.Policy{TTL: tt.ttl}, clock.Now, newMemory(t, clock.Now), nil)
				key, loads := cachetest.Key(t, "alice", 1), 0
				load := func(context.Context) (cache.Entry[string], error) {
					loads++
					e := cache.Entry[string]{Value: "value", FetchedAt: clock.Now().Add(tt.fetched)}
					if tt.ends != never {
						e.EndsAt = clock.Now().Add(tt.ends)
					}
					return e, nil
				}
				mustGet(t, c, key, load, "value", cache.FromOrigin)
				clock.Advance(at)
				from, want := cache.FromMemory, 1
				if slices.Contains(tt.loads, at) {
					from, want = cache.FromOrigin, 2
				}
				mustGet(t, c, key, load, "value", from)
				if loads != want {
					t.Errorf("%d loads, want %d", loads, want)
				}
			})
		}
	}
}

func TestZeroKeyIsRefused(t *testing.T) {
	clock := cachetest.NewClock()
	c := newCache(clock.Now, newMemory(t, clock.Now), nil)
	if _, err := c.Get(t.Context(), cache.Key{}, never(t)); !errors.Is(err, cache.ErrBadKey) {
		t.Errorf("got %v, want %v", err, cache.ErrBadKey)
	}
}

func TestProcessesShareRedis(t *testing.T) {
	server := cachetest.StartRedis(t)
	clock := cachetest.NewClock()
	o, key := &origin{now: clock.Now}, cachetest.Key(t, "alice", 1)
	process := func(secret byte) *cache.Cache[string] {
		store := newRedis(t, server.URL(), keysOf(t, secret))
		c := newCache(clock.Now, newMemory(t, clock.Now), store)
		waitInSync(t, store)
		return c
	}
	one, two, three, stranger := process(1), process(1), process(1), process(2)

	loaded := mustGet(t, one, key, o.returns("value"), "value", cache.FromOrigin)
	clock.Advance(3 * time.Second)
	promoted := mustGet(t, two, key, never(t), "value", cache.FromRedis)
	if !promoted.FetchedAt.Equal(loaded.FetchedAt) || !promoted.FreshUntil.Equal(loaded.FreshUntil) {
		t.Errorf("the times differ: %v, %v", promoted, loaded)
	}
	again := mustGet(t, two, key, never(t), "value", cache.FromMemory)
	if !again.FreshUntil.Equal(loaded.FreshUntil) {
		t.Errorf("fresh until %s, want %s", again.FreshUntil, loaded.FreshUntil)
	}

	mustGet(t, stranger, key, o.returns("other"), "other", cache.FromOrigin)
	if got, want := stranger.Stats(), (cache.Stats{Loads: 1}); got != want {
		t.Errorf("counts with another secret: got %+v, want %+v", got, want)
	}
	mustGet(t, three, key, never(t), "value", cache.FromRedis) // the stranger has not overwritten it

	// Reads have not extended the value's life.
	clock.Advance(2 * time.Second)
	mustGet(t, two, key, o.returns("new"), "new", cache.FromOrigin)
	if got, want := two.Stats(), (cache.Stats{Memory: cache.ReadStats{Hits: 1}, Redis: cache.ReadStats{Hits: 1}, Loads: 1}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestClockOfAnotherProcess(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ahead time.Duration
		from  cache.Source
		value string
	}{
		{"the same", 0, cache.FromRedis, "theirs"},
		{"a little ahead", time.Second, cache.FromRedis, "theirs"},
		{"far ahead", time.Hour, cache.FromOrigin, "ours"},
		{"a little behind", -time.Second, cache.FromRedis, "theirs"},
		{"far behind", -time.Hour, cache.FromOrigin, "ours"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := cachetest.NewClock(), cachetest.NewClock()
			theirs.Advance(tt.ahead)
			shared := cachetest.NewFakeRedis(keysOf(t, 1), ours.Now)
			key := cachetest.Key(t, "alice", 1)
			them, us := newCache(theirs.Now, empty{}, shared.Process()), newCache(ours.Now, empty{}, shared.Process())
			mustGet(t, them, key, (&origin{now: theirs.Now}).returns("theirs"), "theirs", cache.FromOrigin)
			mustGet(t, us, key, (&origin{now: ours.Now}).returns("ours"), tt.value, tt.from)
		})
	}
}

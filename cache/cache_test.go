package cache_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// recorder writes down the steps of a read.
type recorder struct {
	cache.Store[string]
	name  string
	steps *[]string
	ttl   time.Duration // of the last Set
}

func (r *recorder) Get(ctx context.Context, key cache.Key) (cache.Entry[string], bool, error) {
	*r.steps = append(*r.steps, r.name+" get")
	return r.Store.Get(ctx, key)
}

func (r *recorder) Set(ctx context.Context, key cache.Key, e cache.Entry[string], ttl time.Duration) error {
	*r.steps = append(*r.steps, r.name+" set")
	r.ttl = ttl
	return r.Store.Set(ctx, key, e, ttl)
}

// landing is a store that has a value from its second reading on, as after another's flight.
type landing struct {
	cache.Store[string]
	read bool
}

func (l *landing) Get(ctx context.Context, key cache.Key) (cache.Entry[string], bool, error) {
	if !l.read {
		l.read = true
		return cache.Entry[string]{}, false, nil
	}
	return l.Store.Get(ctx, key)
}

func TestOrderOfSteps(t *testing.T) {
	clock := cachetest.NewClock()
	key := cachetest.Key(t, "alice", 1)
	holding := func() cache.Store[string] {
		m := newMemory(t, clock.Now)
		_ = m.Set(t.Context(), key, cache.Entry[string]{Value: "kept", FetchedAt: clock.Now()}, ttl)
		return m
	}
	for _, tt := range []struct {
		name          string
		ttl           time.Duration
		first, second cache.Store[string]
		want          []string
		from          cache.Source
	}{
		{"hit in the first level", ttl, holding(), holding(),
			[]string{"first get"}, cache.FirstLevel},
		{"a flight landed between two steps", ttl, &landing{Store: holding()}, empty{},
			[]string{"first get", "first get"}, cache.FirstLevel},
		{"hit in the second level", ttl, empty{}, holding(),
			[]string{"first get", "first get", "second get", "first set"}, cache.SecondLevel},
		{"miss", ttl, empty{}, empty{},
			[]string{"first get", "first get", "second get", "load", "second set", "first set"}, cache.Loaded},
		{"a second level that fails is not made to wait twice", ttl, empty{}, broken{},
			[]string{"first get", "first get", "second get", "load", "first set"}, cache.Loaded},
		{"no ttl, no second level", 0, empty{}, holding(),
			[]string{"first get", "first get", "load", "first set"}, cache.Loaded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var steps []string
			first := &recorder{Store: tt.first, name: "first", steps: &steps}
			second := &recorder{Store: tt.second, name: "second", steps: &steps}
			c := cache.New(cache.Options{
				Policy: cache.Policy{TTL: tt.ttl}, LoadTimeout: time.Minute, Now: clock.Now, Logger: new(lines).logger(),
			}, first, second)
			r, err := c.Get(t.Context(), key, func(context.Context) (cache.Entry[string], error) {
				steps = append(steps, "load")
				return cache.Entry[string]{Value: "loaded", FetchedAt: clock.Now()}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(steps, tt.want) || r.Source != tt.from {
				t.Errorf("got %q from %d, want %q from %d", steps, r.Source, tt.want, tt.from)
			}
			if slices.Contains(steps, "first set") && first.ttl != tt.ttl {
				t.Errorf("stored for %s, want %s", first.ttl, tt.ttl)
			}
		})
	}
}

func TestHitAfterMiss(t *testing.T) {
	clock := cachetest.NewClock()
	c, o, key := newCache(clock.Now, newMemory(t, clock.Now), nil), &origin{now: clock.Now}, cachetest.Key(t, "alice", 1)
	loaded := mustGet(t, c, key, o.gives("value"), "value", cache.Loaded)
	clock.Advance(ttl - 1)
	hit := mustGet(t, c, key, never(t), "value", cache.FirstLevel)
	if hit.FetchedAt != loaded.FetchedAt || hit.FreshUntil != loaded.FreshUntil {
		t.Errorf("the hit has other times: %v, %v", hit, loaded)
	}
	if want := loaded.FetchedAt.Add(ttl); hit.FreshUntil != want {
		t.Errorf("fresh until %s, want %s", hit.FreshUntil, want)
	}
	clock.Advance(1)
	mustGet(t, c, key, o.gives("new"), "new", cache.Loaded)
	if got, want := c.Stats(), (cache.Stats{FirstHits: 1, Loads: 2}); got != want {
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
		loads   []time.Duration // each the first after the miss that a hit would have hidden
	}{
		{"for the ttl", ttl, 0, never, []time.Duration{0, ttl - 1}, []time.Duration{ttl}},
		{"until its end", ttl, 0, 2 * time.Second, []time.Duration{2*time.Second - 1}, []time.Duration{2 * time.Second}},
		{"for the ttl if it had ended at the fetch", ttl, 0, -time.Hour, []time.Duration{ttl - 1}, []time.Duration{ttl}},
		{"from the fetch, not from the store", ttl, -2 * time.Second, never, []time.Duration{3*time.Second - 1}, []time.Duration{3 * time.Second}},
		{"not at all if it was old when it came", ttl, -ttl, never, nil, []time.Duration{0}},
		{"with a fetch a little in the future", ttl, time.Second, never, []time.Duration{0, ttl - 1}, []time.Duration{ttl}},
		{"with a fetch in the future not now", ttl, 2 * time.Second, never, nil, []time.Duration{0}},
		{"with a fetch in the future not later", ttl, time.Hour, never, nil, []time.Duration{time.Hour}},
		{"not without a ttl", 0, 0, never, nil, []time.Duration{0}},
		{"not without a ttl and with a fetch in the future", 0, time.Second, never, nil, []time.Duration{0}},
	} {
		for _, at := range append(slices.Clone(tt.hits), tt.loads...) {
			t.Run(tt.name+" after "+at.String(), func(t *testing.T) {
				clock := cachetest.NewClock()
				c := cache.New(cache.Options{
					Policy: cache.Policy{TTL: tt.ttl}, LoadTimeout: time.Minute, Now: clock.Now, Logger: new(lines).logger(),
				}, newMemory(t, clock.Now), nil)
				key, loads := cachetest.Key(t, "alice", 1), 0
				load := func(context.Context) (cache.Entry[string], error) {
					loads++
					e := cache.Entry[string]{Value: "value", FetchedAt: clock.Now().Add(tt.fetched)}
					if tt.ends != never {
						e.EndsAt = clock.Now().Add(tt.ends)
					}
					return e, nil
				}
				mustGet(t, c, key, load, "value", cache.Loaded)
				clock.Advance(at)
				from, want := cache.FirstLevel, 1
				if slices.Contains(tt.loads, at) {
					from, want = cache.Loaded, 2
				}
				mustGet(t, c, key, load, "value", from)
				if loads != want {
					t.Errorf("%d loads, want %d", loads, want)
				}
			})
		}
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	clock := cachetest.NewClock()
	second := newMemory(t, clock.Now)
	c, o, key := newCache(clock.Now, newMemory(t, clock.Now), second), &origin{now: clock.Now}, cachetest.Key(t, "alice", 1)
	failure := errors.New("no such row")
	for range 2 {
		r, err := c.Get(t.Context(), key, func(context.Context) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "leftover", FetchedAt: clock.Now()}, failure
		})
		if !errors.Is(err, failure) || r != (cache.Result[string]{}) {
			t.Errorf("got %v and error %v, want nothing and %v", r, err, failure)
		}
	}
	if _, found, _ := second.Get(t.Context(), key); found {
		t.Error("the second level keeps a failed load's value")
	}
	mustGet(t, c, key, o.gives("value"), "value", cache.Loaded)
	if got := c.Stats().Loads; got != 3 {
		t.Errorf("%d loads, want 3", got)
	}
}

func TestZeroKeyIsRefused(t *testing.T) {
	clock := cachetest.NewClock()
	c := newCache(clock.Now, newMemory(t, clock.Now), nil)
	if _, err := c.Get(t.Context(), cache.Key{}, never(t)); !errors.Is(err, cache.ErrBadKey) {
		t.Errorf("got %v, want %v", err, cache.ErrBadKey)
	}
}

func TestProcessesShareTheSecondLevel(t *testing.T) {
	server := cachetest.StartRedis(t)
	clock := cachetest.NewClock()
	o, key := &origin{now: clock.Now}, cachetest.Key(t, "alice", 1)
	process := func(secret byte) *cache.Cache[string] {
		return newCache(clock.Now, newMemory(t, clock.Now), newRedis(t, server.URL(), keysOf(t, secret)))
	}
	one, two, three, stranger := process(1), process(1), process(1), process(2)

	loaded := mustGet(t, one, key, o.gives("value"), "value", cache.Loaded)
	clock.Advance(3 * time.Second)
	promoted := mustGet(t, two, key, never(t), "value", cache.SecondLevel)
	if !promoted.FetchedAt.Equal(loaded.FetchedAt) || !promoted.FreshUntil.Equal(loaded.FreshUntil) {
		t.Errorf("the second process has other times: %v, %v", promoted, loaded)
	}
	again := mustGet(t, two, key, never(t), "value", cache.FirstLevel)
	if !again.FreshUntil.Equal(loaded.FreshUntil) {
		t.Errorf("fresh until %s, want %s", again.FreshUntil, loaded.FreshUntil)
	}

	mustGet(t, stranger, key, o.gives("other"), "other", cache.Loaded)
	if got, want := stranger.Stats(), (cache.Stats{Loads: 1}); got != want {
		t.Errorf("counts with another secret: got %+v, want %+v", got, want)
	}
	mustGet(t, three, key, never(t), "value", cache.SecondLevel) // the stranger has overwritten nothing

	// Being read by others has not extended the value's life.
	clock.Advance(2 * time.Second)
	mustGet(t, two, key, o.gives("new"), "new", cache.Loaded)
	if got, want := two.Stats(), (cache.Stats{FirstHits: 1, SecondHits: 1, Loads: 1}); got != want {
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
		{"the same", 0, cache.SecondLevel, "theirs"},
		{"a little ahead", time.Second, cache.SecondLevel, "theirs"},
		{"far ahead", time.Hour, cache.Loaded, "ours"},
		{"a little behind", -time.Second, cache.SecondLevel, "theirs"},
		{"far behind", -time.Hour, cache.Loaded, "ours"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := cachetest.NewClock(), cachetest.NewClock()
			theirs.Advance(tt.ahead)
			shared := newMemory(t, ours.Now)
			key := cachetest.Key(t, "alice", 1)
			them, us := newCache(theirs.Now, empty{}, shared), newCache(ours.Now, empty{}, shared)
			mustGet(t, them, key, (&origin{now: theirs.Now}).gives("theirs"), "theirs", cache.Loaded)
			mustGet(t, us, key, (&origin{now: ours.Now}).gives("ours"), tt.value, tt.from)
		})
	}
}

func TestSecondLevelFailureIsLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		c := cache.New(cache.Options{
			Policy: cache.Policy{TTL: ttl}, LoadTimeout: time.Minute, Logger: log.logger(),
		}, empty{}, broken{})
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		for _, want := range []int{1, 2} {
			for range 100 {
				mustGet(t, c, key, o.gives("value"), "value", cache.Loaded)
			}
			if got := log.count(); got != want {
				t.Errorf("%d lines, want %d:\n%s", got, want, &log)
			}
			<-time.After(10 * time.Second)
		}
		if got := c.Stats().SecondErrors; got != 200 {
			t.Errorf("%d failures, want 200", got)
		}
	})
}

package cache_test

import (
	"context"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// harness is two processes that share a fake Redis.
type harness struct {
	clock   *cachetest.Clock
	fake    *cachetest.FakeRedis
	process [2]*cachetest.Process
	cache   [2]*cache.Cache[string]
	origin  origin
	key     cache.Key
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	w := &harness{clock: cachetest.NewClock(), key: cachetest.Key(t, "alice", 1)}
	w.fake = cachetest.NewFakeRedis(keysOf(t, 1), w.clock.Now)
	w.origin.now = w.clock.Now
	for i := range w.cache {
		w.process[i] = w.fake.Process()
		w.cache[i] = newCache(w.clock.Now, newMemory(t, w.clock.Now), w.process[i])
	}
	return w
}

func (w *harness) id() cache.ResourceID { return w.key.ResourceID() }

// primed returns an entry as a list contains it.
func (w *harness) primed(value string, age time.Duration) cache.Entry[string] {
	return cache.Entry[string]{Value: value, FetchedAt: w.clock.Now().Add(-age)}
}

func TestPrime(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, w *harness, c *cache.Cache[string])
	}{
		{"a primed entry is read without the origin", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			c.Prime(w.key, w.primed("primed", 0), c.Subscription())
			mustGet(t, c, w.key, never(t), "primed", cache.FromMemory)
		}},
		{"it keeps its age", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			c.Prime(w.key, w.primed("primed", 3*time.Second), c.Subscription())
			w.clock.Advance(2 * time.Second)
			mustGet(t, c, w.key, w.origin.returns("loaded"), "loaded", cache.FromOrigin)
		}},
		{"it replaces an older entry", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			mustGet(t, c, w.key, w.origin.returns("loaded"), "loaded", cache.FromOrigin)
			w.clock.Advance(time.Second)
			c.Prime(w.key, w.primed("primed", 0), c.Subscription())
			mustGet(t, c, w.key, never(t), "primed", cache.FromMemory)
		}},
		{"it does not replace a newer entry", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			mustGet(t, c, w.key, w.origin.returns("loaded"), "loaded", cache.FromOrigin)
			c.Prime(w.key, w.primed("primed", time.Second), c.Subscription())
			mustGet(t, c, w.key, never(t), "loaded", cache.FromMemory)
		}},
		{"nor a newer denial", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			if _, err := c.Get(t.Context(), w.key, w.origin.fails(errDenied)); err == nil {
				t.Fatal("no denial")
			}
			c.Prime(w.key, w.primed("primed", time.Second), c.Subscription())
			mustGet(t, c, w.key, w.origin.returns("loaded"), "loaded", cache.FromOrigin)
		}},
		{"a revoked resource stays revoked", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			asked := c.Subscription()
			if err := c.Revoke(t.Context(), w.id()); err != nil {
				t.Fatal(err)
			}
			c.Prime(w.key, w.primed("primed", 0), asked)
			if _, err := c.Get(t.Context(), w.key, never(t)); err != cache.ErrRevoked { //nolint:errorlint // it is returned as it is
				t.Errorf("got %v", err)
			}
		}},
		{"Redis is asked about a revocation that may have been missed", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			asked := c.Subscription()
			w.process[0].Disconnect(true)
			if err := w.cache[1].Revoke(t.Context(), w.id()); err != nil {
				t.Fatal(err)
			}
			w.process[0].Disconnect(false)
			c.Prime(w.key, w.primed("primed", 0), asked)
			if _, err := c.Get(t.Context(), w.key, never(t)); err != cache.ErrRevoked { //nolint:errorlint // it is returned as it is
				t.Errorf("got %v", err)
			}
		}},
		{"an entry that is not fresh is not kept", func(t *testing.T, w *harness, c *cache.Cache[string]) {
			c.Prime(w.key, w.primed("primed", ttl), c.Subscription())
			mustGet(t, c, w.key, w.origin.returns("loaded"), "loaded", cache.FromOrigin)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newHarness(t)
			tt.run(t, w, w.cache[0])
		})
	}
}

// TestPrimeDuringALoad: a load that runs stores its own outcome, which is newer.
func TestPrimeDuringALoad(t *testing.T) {
	w := newHarness(t)
	c := w.cache[0]
	load := w.origin.returns("loaded")
	mustGet(t, c, w.key, func(ctx context.Context) (cache.Entry[string], error) {
		c.Prime(w.key, w.primed("primed", 0), c.Subscription())
		return load(ctx)
	}, "loaded", cache.FromOrigin)
	mustGet(t, c, w.key, never(t), "loaded", cache.FromMemory)
}

func TestPeekAndDrop(t *testing.T) {
	w := newHarness(t)
	peek := func(c *cache.Cache[string], want string) {
		t.Helper()
		if r, ok := c.Peek(t.Context(), w.key); r.Value != want || ok != (want != "") {
			t.Errorf("peeked %q, %t; want %q", r.Value, ok, want)
		}
	}
	peek(w.cache[0], "")
	mustGet(t, w.cache[0], w.key, w.origin.returns("loaded"), "loaded", cache.FromOrigin)
	peek(w.cache[0], "loaded")
	peek(w.cache[1], "loaded") // from Redis
	if err := w.cache[0].Drop(t.Context(), w.key); err != nil {
		t.Fatal(err)
	}
	peek(w.cache[0], "")
	mustGet(t, w.cache[0], w.key, w.origin.returns("again"), "again", cache.FromOrigin)
	w.clock.Advance(ttl)
	peek(w.cache[0], "")
	mustGet(t, w.cache[0], w.key, w.origin.returns("last"), "last", cache.FromOrigin)
	if err := w.cache[1].Revoke(t.Context(), w.id()); err != nil {
		t.Fatal(err)
	}
	peek(w.cache[0], "")
	peek(w.cache[1], "")
}

func TestListVersion(t *testing.T) {
	w := newHarness(t)
	of := func(i int) string { return w.cache[i].ListVersion(t.Context(), w.id().Resource()) }
	same := func(what string, want bool, a, b string) {
		t.Helper()
		if (a == b) != want {
			t.Errorf("%s: %q and %q", what, a, b)
		}
	}
	revoke := func(i int) {
		t.Helper()
		if err := w.cache[i].Revoke(t.Context(), w.id()); err != nil {
			t.Fatal(err)
		}
	}
	first := of(0)
	same("two processes", true, first, of(1))
	revoke(1)
	second := of(0)
	same("a revocation by another process", false, first, second)
	same("two processes after it", true, second, of(1))

	w.process[0].Disconnect(true)
	revoke(1)
	third := of(0)
	same("a revocation by another process while disconnected", false, second, third)
	w.process[0].Disconnect(false)
	same("connected again", true, third, of(0))

	w.process[0].Cut(true)
	same("while Redis cannot be asked", true, third, of(0))
	if err := w.cache[0].Revoke(t.Context(), w.id()); err == nil {
		t.Fatal("Redis is not cut off")
	}
	own := of(0)
	same("a revocation while Redis cannot be asked", false, third, own)
	same("again", true, own, of(0))

	w.fake.Empty()
	w.process[0].Cut(false)
	same("an empty Redis", false, third, of(0))
}

func TestListVersionWithoutRedis(t *testing.T) {
	clock := cachetest.NewClock()
	c := newCache(clock.Now, newMemory(t, clock.Now), nil)
	id := cachetest.Key(t, "alice", 1).ResourceID()
	first := c.ListVersion(t.Context(), id.Resource())
	if again := c.ListVersion(t.Context(), id.Resource()); again != first {
		t.Errorf("%q and %q", first, again)
	}
	if err := c.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if after := c.ListVersion(t.Context(), id.Resource()); after == first {
		t.Error("a revocation changed nothing")
	}
}

// slow is a Redis in which something happens before a revocation, and whose notifications are late.
type slow struct {
	cache.Shared
	meanwhile func()
}

func (s slow) Revoke(ctx context.Context, id cache.ResourceID, ttl time.Duration) error {
	s.meanwhile()
	return s.Shared.Revoke(ctx, id, ttl)
}

func (slow) Listen(func(cache.ResourceHash)) {}

// TestListVersionAfterOwnRevocation: a version that is read while the revocation is on its way to Redis must
// not be used until the process is notified of its own revocation.
func TestListVersionAfterOwnRevocation(t *testing.T) {
	for name, cut := range map[string]bool{"Redis works": false, "Redis fails": true} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			var c *cache.Cache[string]
			version := func() string { return c.ListVersion(t.Context(), w.id().Resource()) }
			c = newCache(w.clock.Now, newMemory(t, w.clock.Now), slow{w.process[0], func() {
				version()
				w.process[0].Cut(cut)
			}})
			before := version()
			if err := c.Revoke(t.Context(), w.id()); (err != nil) != cut {
				t.Fatal(err)
			}
			if after := version(); after == before {
				t.Error("the old list version is used after the revocation")
			}
		})
	}
}

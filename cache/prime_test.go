package cache_test

import (
	"context"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// world is two processes on one Redis.
type world struct {
	clock   *cachetest.Clock
	fake    *cachetest.FakeRedis
	process [2]*cachetest.Process
	cache   [2]*cache.Cache[string]
	origin  origin
	key     cache.Key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: cachetest.NewClock(), key: cachetest.Key(t, "alice", 1)}
	w.fake = cachetest.NewFakeRedis(keysOf(t, 1), w.clock.Now)
	w.origin.now = w.clock.Now
	for i := range w.cache {
		w.process[i] = w.fake.Process()
		w.cache[i] = newCache(w.clock.Now, newMemory(t, w.clock.Now), w.process[i])
	}
	return w
}

func (w *world) row1() cache.ResourceID { return w.key.ResourceID() }

// fed is an entry as a list brings it.
func (w *world) fed(value string, age time.Duration) cache.Entry[string] {
	return cache.Entry[string]{Value: value, FetchedAt: w.clock.Now().Add(-age)}
}

func TestFeed(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, w *world, c *cache.Cache[string])
	}{
		{"what is fed is read without the origin", func(t *testing.T, w *world, c *cache.Cache[string]) {
			c.Prime(w.key, w.fed("fed", 0), c.Subscription())
			mustGet(t, c, w.key, never(t), "fed", cache.FromMemory)
		}},
		{"it keeps the age it has", func(t *testing.T, w *world, c *cache.Cache[string]) {
			c.Prime(w.key, w.fed("fed", 3*time.Second), c.Subscription())
			w.clock.Advance(2 * time.Second)
			mustGet(t, c, w.key, w.origin.gives("loaded"), "loaded", cache.FromOrigin)
		}},
		{"it takes the place of what is older", func(t *testing.T, w *world, c *cache.Cache[string]) {
			mustGet(t, c, w.key, w.origin.gives("loaded"), "loaded", cache.FromOrigin)
			w.clock.Advance(time.Second)
			c.Prime(w.key, w.fed("fed", 0), c.Subscription())
			mustGet(t, c, w.key, never(t), "fed", cache.FromMemory)
		}},
		{"but not of what is newer", func(t *testing.T, w *world, c *cache.Cache[string]) {
			mustGet(t, c, w.key, w.origin.gives("loaded"), "loaded", cache.FromOrigin)
			c.Prime(w.key, w.fed("fed", time.Second), c.Subscription())
			mustGet(t, c, w.key, never(t), "loaded", cache.FromMemory)
		}},
		{"nor of a denial that is", func(t *testing.T, w *world, c *cache.Cache[string]) {
			if _, err := c.Get(t.Context(), w.key, w.origin.fails(errDenied)); err == nil {
				t.Fatal("no denial")
			}
			c.Prime(w.key, w.fed("fed", time.Second), c.Subscription())
			mustGet(t, c, w.key, w.origin.gives("loaded"), "loaded", cache.FromOrigin)
		}},
		{"a row that was revoked stays so", func(t *testing.T, w *world, c *cache.Cache[string]) {
			asked := c.Subscription()
			if err := c.Revoke(t.Context(), w.row1()); err != nil {
				t.Fatal(err)
			}
			c.Prime(w.key, w.fed("fed", 0), asked)
			if _, err := c.Get(t.Context(), w.key, never(t)); err != cache.ErrRevoked { //nolint:errorlint // it is returned as it is
				t.Errorf("got %v", err)
			}
		}},
		{"a row whose revocation may have gone unheard is asked for", func(t *testing.T, w *world, c *cache.Cache[string]) {
			asked := c.Subscription()
			w.process[0].Disconnect(true)
			if err := w.cache[1].Revoke(t.Context(), w.row1()); err != nil {
				t.Fatal(err)
			}
			w.process[0].Disconnect(false)
			c.Prime(w.key, w.fed("fed", 0), asked)
			if _, err := c.Get(t.Context(), w.key, never(t)); err != cache.ErrRevoked { //nolint:errorlint // it is returned as it is
				t.Errorf("got %v", err)
			}
		}},
		{"what is not fresh is not kept", func(t *testing.T, w *world, c *cache.Cache[string]) {
			c.Prime(w.key, w.fed("fed", ttl), c.Subscription())
			mustGet(t, c, w.key, w.origin.gives("loaded"), "loaded", cache.FromOrigin)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.run(t, w, w.cache[0])
		})
	}
}

// TestFeedLeavesLoadsAlone: a load that runs stores its own outcome, which is of later.
func TestFeedLeavesLoadsAlone(t *testing.T) {
	w := newWorld(t)
	c := w.cache[0]
	load := w.origin.gives("loaded")
	mustGet(t, c, w.key, func(ctx context.Context) (cache.Entry[string], error) {
		c.Prime(w.key, w.fed("fed", 0), c.Subscription())
		return load(ctx)
	}, "loaded", cache.FromOrigin)
	mustGet(t, c, w.key, never(t), "loaded", cache.FromMemory)
}

func TestPeekAndDrop(t *testing.T) {
	w := newWorld(t)
	peek := func(c *cache.Cache[string], want string) {
		t.Helper()
		if r, ok := c.Peek(t.Context(), w.key); r.Value != want || ok != (want != "") {
			t.Errorf("peeked %q, %t; want %q", r.Value, ok, want)
		}
	}
	peek(w.cache[0], "")
	mustGet(t, w.cache[0], w.key, w.origin.gives("loaded"), "loaded", cache.FromOrigin)
	peek(w.cache[0], "loaded")
	peek(w.cache[1], "loaded") // through Redis
	if err := w.cache[0].Drop(t.Context(), w.key); err != nil {
		t.Fatal(err)
	}
	peek(w.cache[0], "")
	mustGet(t, w.cache[0], w.key, w.origin.gives("again"), "again", cache.FromOrigin)
	w.clock.Advance(ttl)
	peek(w.cache[0], "")
	mustGet(t, w.cache[0], w.key, w.origin.gives("last"), "last", cache.FromOrigin)
	if err := w.cache[1].Revoke(t.Context(), w.row1()); err != nil {
		t.Fatal(err)
	}
	peek(w.cache[0], "")
	peek(w.cache[1], "")
}

func TestGeneration(t *testing.T) {
	w := newWorld(t)
	of := func(i int) string { return w.cache[i].ListVersion(t.Context(), w.row1().Resource()) }
	same := func(what string, want bool, a, b string) {
		t.Helper()
		if (a == b) != want {
			t.Errorf("%s: %q and %q", what, a, b)
		}
	}
	revoke := func(i int) {
		t.Helper()
		if err := w.cache[i].Revoke(t.Context(), w.row1()); err != nil {
			t.Fatal(err)
		}
	}
	first := of(0)
	same("two processes", true, first, of(1))
	revoke(1)
	second := of(0)
	same("another process's revocation, heard", false, first, second)
	same("two processes after it", true, second, of(1))

	w.process[0].Disconnect(true)
	revoke(1)
	third := of(0)
	same("another process's revocation, unheard: Redis is asked", false, second, third)
	w.process[0].Disconnect(false)
	same("heard again", true, third, of(0))

	w.process[0].Cut(true)
	same("while Redis cannot be asked", true, third, of(0))
	if err := w.cache[0].Revoke(t.Context(), w.row1()); err == nil {
		t.Fatal("Redis was asked")
	}
	own := of(0)
	same("one's own revocation while Redis cannot be asked", false, third, own)
	same("and asked again", true, own, of(0))

	w.fake.Empty()
	w.process[0].Cut(false)
	same("an empty Redis", false, third, of(0))
}

// TestGenerationWithoutRedis: it ends with each revocation as well.
func TestGenerationWithoutRedis(t *testing.T) {
	clock := cachetest.NewClock()
	c := newCache(clock.Now, newMemory(t, clock.Now), nil)
	row := cachetest.Key(t, "alice", 1).ResourceID()
	first := c.ListVersion(t.Context(), row.Resource())
	if again := c.ListVersion(t.Context(), row.Resource()); again != first {
		t.Errorf("%q and %q", first, again)
	}
	if err := c.Revoke(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if after := c.ListVersion(t.Context(), row.Resource()); after == first {
		t.Error("a revocation changed nothing")
	}
}

// slow is a Shared in whose Revoke something else happens first, and whose messages take their time.
type slow struct {
	cache.Shared
	meanwhile func()
}

func (s slow) Revoke(ctx context.Context, row cache.ResourceID, ttl time.Duration) error {
	s.meanwhile()
	return s.Shared.Revoke(ctx, row, ttl)
}

func (slow) Listen(func(cache.ResourceHash)) {}

// TestGenerationAfterOnesOwnRevocation: who asks for a list while a revocation is on its way to Redis
// learns the version of before it, which must not last until the process hears of itself.
func TestGenerationAfterOnesOwnRevocation(t *testing.T) {
	for name, cut := range map[string]bool{"Redis works": false, "Redis fails": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var c *cache.Cache[string]
			version := func() string { return c.ListVersion(t.Context(), w.row1().Resource()) }
			c = newCache(w.clock.Now, newMemory(t, w.clock.Now), slow{w.process[0], func() {
				version()
				w.process[0].Cut(cut)
			}})
			before := version()
			if err := c.Revoke(t.Context(), w.row1()); (err != nil) != cut {
				t.Fatal(err)
			}
			if after := version(); after == before {
				t.Error("lists of before are found after the revocation")
			}
		})
	}
}

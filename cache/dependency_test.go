package cache_test

import (
	"context"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// TestStands: what was read stands while a read would give the same again, out of memory.
func TestStands(t *testing.T) {
	const resource = "codes"
	list := func(t *testing.T, w *world) cache.Key {
		t.Helper()
		key, err := cache.NewListKey(cachetest.Caller("alice"), resource, "first page", w.cache[0].ListVersion(t.Context(), resource))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	revoke := func(t *testing.T, w *world, process int, id int32) {
		t.Helper()
		if err := w.cache[process].Revoke(t.Context(), cachetest.Key(t, "alice", id).ResourceID()); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(*testing.T, *world) {}
	for _, tt := range []struct {
		name      string
		then      func(t *testing.T, w *world)
		row, list bool // stand
	}{
		{"nothing happens", nothing, true, true},
		{"a moment before it is not fresh", func(_ *testing.T, w *world) { w.clock.Advance(ttl - 1) }, true, true},
		{"it is not fresh any more", func(_ *testing.T, w *world) { w.clock.Advance(ttl) }, false, false},
		{"the row is revoked", func(t *testing.T, w *world) { revoke(t, w, 0, 1) }, false, false},
		{"another process revokes the row", func(t *testing.T, w *world) { revoke(t, w, 1, 1) }, false, false},
		{"another row is revoked", func(t *testing.T, w *world) { revoke(t, w, 1, 2) }, true, false},
		{"a revocation, and Redis loses it", func(t *testing.T, w *world) {
			version := w.cache[0].ListVersion(t.Context(), resource)
			revoke(t, w, 1, 2)
			w.fake.Rewind(resource)
			if w.cache[0].ListVersion(t.Context(), resource) != version {
				t.Fatal("Redis has another version")
			}
		}, true, false},
		{"revocations may go unheard", func(_ *testing.T, w *world) { w.process[0].Disconnect(true) }, false, false},
		{"a revocation may have gone unheard", func(_ *testing.T, w *world) {
			w.process[0].Disconnect(true)
			w.process[0].Disconnect(false)
		}, false, false},
		{"it may be wrong", func(t *testing.T, w *world) {
			if err := w.cache[0].Drop(t.Context(), w.key); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		{"it is loaded anew at the same moment", func(t *testing.T, w *world) {
			if err := w.cache[0].Drop(t.Context(), w.key); err != nil {
				t.Fatal(err)
			}
			mustGet(t, w.cache[0], w.key, w.origin.gives("another"), "another", cache.FromOrigin)
		}, false, true},
		{"a list brings it anew", func(t *testing.T, w *world) {
			w.clock.Advance(1)
			w.cache[0].Prime(w.key, w.fed("fed", 0), w.cache[0].Subscription())
		}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			row := mustGet(t, w.cache[0], w.key, w.origin.gives("row"), "row", cache.FromOrigin).Dependency()
			page := mustGet(t, w.cache[0], list(t, w), w.origin.gives("page"), "page", cache.FromOrigin).Dependency()
			tt.then(t, w)
			if got := w.cache[0].Valid(row, w.clock.Now()); got != tt.row {
				t.Errorf("the row stands: %t", got)
			}
			if got := w.cache[0].Valid(page, w.clock.Now()); got != tt.list {
				t.Errorf("the list stands: %t", got)
			}
		})
	}
}

// TestNothingStands: what is given out and not kept has no mark that stands.
func TestNothingStands(t *testing.T) {
	w := newWorld(t)
	c := newCacheOf(cache.Policy{TTL: ttl, StaleIfError: time.Minute}, w.clock.Now, newMemory(t, w.clock.Now), nil)
	if c.Valid(cache.Dependency{}, w.clock.Now()) {
		t.Error("the empty mark stands")
	}
	mustGet(t, c, w.key, w.origin.gives("row"), "row", cache.FromOrigin)
	w.clock.Advance(ttl + time.Second)
	stale := mustGet(t, c, w.key, func(context.Context) (cache.Entry[string], error) {
		return cache.Entry[string]{}, errUnavailable
	}, "row", cache.FromMemory)
	if stale.Stale == cache.NotStale || c.Valid(stale.Dependency(), w.clock.Now()) {
		t.Errorf("%v stands", stale)
	}
}

// TestListOfBeforeDoesNotStand: a list that was named before a revocation that this process missed is
// still found in Redis, but nobody who asks anew is given it.
func TestListOfBeforeDoesNotStand(t *testing.T) {
	w := newWorld(t)
	const resource = "codes"
	page := func() cache.Key {
		t.Helper()
		key, err := cache.NewListKey(cachetest.Caller("alice"), resource, "first page", w.cache[0].ListVersion(t.Context(), resource))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	before := page()
	mustGet(t, w.cache[0], before, w.origin.gives("with the row"), "with the row", cache.FromOrigin)
	w.process[0].Disconnect(true)
	if err := w.cache[1].Revoke(t.Context(), w.key.ResourceID()); err != nil {
		t.Fatal(err)
	}
	w.process[0].Disconnect(false)
	read, err := w.cache[0].Get(t.Context(), before, w.origin.gives("without"))
	if err != nil {
		t.Fatal(err)
	}
	if page() == before {
		t.Fatal("the revocation began no version")
	}
	if w.cache[0].Valid(read.Dependency(), w.clock.Now()) {
		t.Errorf("%q stands, of before the revocation", read.Value)
	}
}

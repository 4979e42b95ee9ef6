package cache_test

import (
	"context"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// TestValid: a dependency is valid while a read would return the same entry from memory again.
func TestValid(t *testing.T) {
	const resource = "codes"
	list := func(t *testing.T, w *harness) cache.Key {
		t.Helper()
		key, err := cache.NewListKey(cachetest.Caller("alice"), resource, "first page", w.cache[0].ListVersion(t.Context(), resource))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	revoke := func(t *testing.T, w *harness, process int, id int32) {
		t.Helper()
		if err := w.cache[process].Revoke(t.Context(), cachetest.Key(t, "alice", id).ResourceID()); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(*testing.T, *harness) {}
	for _, tt := range []struct {
		name           string
		then           func(t *testing.T, w *harness)
		resource, list bool // valid
	}{
		{"nothing happens", nothing, true, true},
		{"just before it stops being fresh", func(_ *testing.T, w *harness) { w.clock.Advance(ttl - 1) }, true, true},
		{"it stops being fresh", func(_ *testing.T, w *harness) { w.clock.Advance(ttl) }, false, false},
		{"the resource is revoked", func(t *testing.T, w *harness) { revoke(t, w, 0, 1) }, false, false},
		{"another process revokes the resource", func(t *testing.T, w *harness) { revoke(t, w, 1, 1) }, false, false},
		{"another resource is revoked", func(t *testing.T, w *harness) { revoke(t, w, 1, 2) }, true, false},
		{"a revocation that Redis loses", func(t *testing.T, w *harness) {
			version := w.cache[0].ListVersion(t.Context(), resource)
			revoke(t, w, 1, 2)
			w.fake.Rewind(resource)
			if w.cache[0].ListVersion(t.Context(), resource) != version {
				t.Fatal("Redis has another list version")
			}
		}, true, false},
		{"revocations may be missed", func(_ *testing.T, w *harness) { w.process[0].Disconnect(true) }, false, false},
		{"a revocation may have been missed", func(_ *testing.T, w *harness) {
			w.process[0].Disconnect(true)
			w.process[0].Disconnect(false)
		}, false, false},
		{"it is dropped", func(t *testing.T, w *harness) {
			if err := w.cache[0].Drop(t.Context(), w.key); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		{"it is loaded again at the same time", func(t *testing.T, w *harness) {
			if err := w.cache[0].Drop(t.Context(), w.key); err != nil {
				t.Fatal(err)
			}
			mustGet(t, w.cache[0], w.key, w.origin.returns("another"), "another", cache.FromOrigin)
		}, false, true},
		{"a list primes it again", func(t *testing.T, w *harness) {
			w.clock.Advance(1)
			w.cache[0].Prime(w.key, w.primed("primed", 0), w.cache[0].Subscription())
		}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newHarness(t)
			one := mustGet(t, w.cache[0], w.key, w.origin.returns("value"), "value", cache.FromOrigin).Dependency()
			page := mustGet(t, w.cache[0], list(t, w), w.origin.returns("page"), "page", cache.FromOrigin).Dependency()
			tt.then(t, w)
			if got := w.cache[0].Valid(one, w.clock.Now()); got != tt.resource {
				t.Errorf("the resource is valid: %t", got)
			}
			if got := w.cache[0].Valid(page, w.clock.Now()); got != tt.list {
				t.Errorf("the list is valid: %t", got)
			}
		})
	}
}

// TestNotValid: neither the zero dependency nor that of a stale value is valid.
func TestNotValid(t *testing.T) {
	w := newHarness(t)
	c := newCacheOf(cache.Policy{TTL: ttl, StaleIfError: time.Minute}, w.clock.Now, newMemory(t, w.clock.Now), nil)
	if c.Valid(cache.Dependency{}, w.clock.Now()) {
		t.Error("the zero dependency is valid")
	}
	mustGet(t, c, w.key, w.origin.returns("value"), "value", cache.FromOrigin)
	w.clock.Advance(ttl + time.Second)
	stale := mustGet(t, c, w.key, func(context.Context) (cache.Entry[string], error) {
		return cache.Entry[string]{}, errUnavailable
	}, "value", cache.FromMemory)
	if stale.Stale == cache.NotStale || c.Valid(stale.Dependency(), w.clock.Now()) {
		t.Errorf("%v is valid", stale)
	}
}

// TestOldListVersionIsNotValid: under a version from before a revocation that this process missed, the list
// is still in Redis, but its dependency is not valid.
func TestOldListVersionIsNotValid(t *testing.T) {
	w := newHarness(t)
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
	mustGet(t, w.cache[0], before, w.origin.returns("with the row"), "with the row", cache.FromOrigin)
	w.process[0].Disconnect(true)
	if err := w.cache[1].Revoke(t.Context(), w.key.ResourceID()); err != nil {
		t.Fatal(err)
	}
	w.process[0].Disconnect(false)
	read, err := w.cache[0].Get(t.Context(), before, w.origin.returns("without"))
	if err != nil {
		t.Fatal(err)
	}
	if page() == before {
		t.Fatal("the revocation started no list version")
	}
	if w.cache[0].Valid(read.Dependency(), w.clock.Now()) {
		t.Errorf("%q from before the revocation is valid", read.Value)
	}
}

package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// usual is a policy with everything on.
var usual = cache.Policy{TTL: ttl, StaleIfError: 30 * time.Second, NegativeTTL: 2 * time.Second}

// bubble runs a test in a bubble, on caches with memory, with memory and Redis, and with Redis alone.
func bubble(t *testing.T, p cache.Policy, run func(t *testing.T, c *cache.Cache[string])) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			run(t, newCacheOf(p, time.Now, newMemory(t, time.Now), nil))
		})
	})
	t.Run("redis", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fake := cachetest.NewFakeRedis(keysOf(t, 1), time.Now)
			run(t, newCacheOf(p, time.Now, newMemory(t, time.Now), fake.Process()))
		})
	})
	t.Run("redis alone", func(t *testing.T) { // as after an eviction, or in another process
		synctest.Test(t, func(t *testing.T) {
			fake := cachetest.NewFakeRedis(keysOf(t, 1), time.Now)
			run(t, newCacheOf(p, time.Now, empty{}, fake.Process()))
		})
	})
}

func get(t *testing.T, c *cache.Cache[string], key cache.Key, load cache.Loader[string]) (cache.Result[string], error) {
	t.Helper()
	return c.Get(t.Context(), key, load)
}

func wantStale(t *testing.T, c *cache.Cache[string], key cache.Key, load cache.Loader[string], want string, why cache.Staleness) cache.Result[string] {
	t.Helper()
	r, err := get(t, c, key, load)
	if err != nil || r.Value != want || r.Stale != why {
		t.Fatalf("got %q, stale %q, error %v; want %q, %q", r.Value, r.Stale, err, want, why)
	}
	if !r.FreshUntil.Before(time.Now()) && !r.FreshUntil.Equal(time.Now()) {
		t.Errorf("stale, and fresh until %s", r.FreshUntil)
	}
	return r
}

func wantError(t *testing.T, c *cache.Cache[string], key cache.Key, load cache.Loader[string], want error) {
	t.Helper()
	r, err := get(t, c, key, load)
	if !errors.Is(err, want) || r != (cache.Result[string]{}) {
		t.Fatalf("got %q, stale %q, error %v; want %v", r.Value, r.Stale, err, want)
	}
}

func TestStaleIfError(t *testing.T) {
	bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		fresh := mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		r := wantStale(t, c, key, o.fails(errUnavailable), "value", cache.StaleIfError)
		if !r.FetchedAt.Equal(fresh.FetchedAt) || !errors.Is(r.Cause, errUnavailable) {
			t.Errorf("fetched at %s because of %v", r.FetchedAt, r.Cause)
		}
		// The origin is not asked again for a second.
		time.Sleep(time.Second - 1)
		r = wantStale(t, c, key, never(t), "value", cache.StaleIfError)
		if !errors.Is(r.Cause, errUnavailable) {
			t.Errorf("because of %v", r.Cause)
		}
		time.Sleep(time.Nanosecond)
		wantStale(t, c, key, o.fails(errUnavailable), "value", cache.StaleIfError)
		if n := o.loads.Load(); n != 3 {
			t.Errorf("%d loads, want 3", n)
		}
		time.Sleep(29*time.Second - 1) // 35s - 1 after the fetch
		wantStale(t, c, key, o.fails(errUnavailable), "value", cache.StaleIfError)
		time.Sleep(time.Nanosecond)
		wantError(t, c, key, never(t), errUnavailable) // the window is over, the failure is recent
		time.Sleep(time.Second)
		wantError(t, c, key, o.fails(errUnavailable), errUnavailable)
		time.Sleep(time.Second)
		if r := mustGet(t, c, key, o.returns("back"), "back", cache.FromOrigin); r.Stale != cache.NotStale {
			t.Errorf("stale: %q", r.Stale)
		}
	})
}

func TestReplaced(t *testing.T) {
	bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		if r := mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin); r.Replaced {
			t.Error("the first load replaces nothing")
		}
		time.Sleep(ttl)
		if r := mustGet(t, c, key, o.returns("new"), "new", cache.FromOrigin); !r.Replaced {
			t.Error("the stale value was not replaced")
		}
	})
}

// TestNeverStale: cases in which reads do not fall back to a value.
func TestNeverStale(t *testing.T) {
	alive := func(c cache.Entry[string]) cache.Entry[string] {
		c.EndsAt = c.FetchedAt.Add(ttl + 2*time.Second)
		return c
	}
	for _, tt := range []struct {
		name    string
		policy  cache.Policy
		entry   func(cache.Entry[string]) cache.Entry[string]
		wait    time.Duration
		then    error // of a load between the value and the failure
		failure error
	}{
		{"disabled", cache.Policy{TTL: ttl}, nil, ttl, nil, errUnavailable},
		{"the origin is not unavailable", usual, nil, ttl, nil, errFailed},
		{"a value past its end", usual, alive, ttl + 2*time.Second, nil, errUnavailable},
		{"a value that must not be stale", usual, func(e cache.Entry[string]) cache.Entry[string] { e.FreshOnly = true; return e }, ttl, nil, errUnavailable},
		{"after a denial", usual, nil, ttl, errDenied, errUnavailable},
		{"after an unauthenticated read", usual, nil, ttl, errUnauthenticated, errUnavailable},
		{"after a refusal that is not the origin's", usual, nil, ttl, errRefused, errUnavailable},
		{"after a denial that is not repeated", cache.Policy{TTL: ttl, StaleIfError: time.Minute}, nil, ttl, errDenied, errUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, tt.policy, func(t *testing.T, c *cache.Cache[string]) {
				o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
				load := func(context.Context) (cache.Entry[string], error) {
					e := cache.Entry[string]{Value: "value", FetchedAt: time.Now()}
					if tt.entry != nil {
						e = tt.entry(e)
					}
					return e, nil
				}
				mustGet(t, c, key, load, "value", cache.FromOrigin)
				time.Sleep(tt.wait)
				if tt.then != nil {
					wantError(t, c, key, o.fails(tt.then), tt.then)
					time.Sleep(3 * time.Second)
				}
				for range 5 {
					wantError(t, c, key, o.fails(tt.failure), tt.failure)
					time.Sleep(2 * time.Second)
				}
			})
		})
	}
}

// TestRefusedWhileRevalidating: a refusal that is not the origin's ends the window of revalidation.
func TestRefusedWhileRevalidating(t *testing.T) {
	bubble(t, cache.Policy{TTL: ttl, StaleWhileRevalidate: time.Minute, StaleIfError: time.Minute}, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		wantStale(t, c, key, o.fails(errRefused), "value", cache.StaleWhileRevalidate)
		synctest.Wait()
		for _, failure := range []error{errRefused, errUnavailable} {
			wantError(t, c, key, o.fails(failure), failure)
			time.Sleep(2 * time.Second)
		}
		mustGet(t, c, key, o.returns("again"), "again", cache.FromOrigin)
	})
}

// TestRefusedInAnotherProcess: a process that was not asked meanwhile does not use a value stale either that was
// fetched before a refusal, however long ago the refusal was.
func TestRefusedInAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redis := cachetest.NewFakeRedis(keysOf(t, 1), time.Now)
		first := newCacheOf(usual, time.Now, newMemory(t, time.Now), redis.Process())
		second := newCacheOf(usual, time.Now, newMemory(t, time.Now), redis.Process())
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, first, key, o.returns("value"), "value", cache.FromOrigin)
		mustGet(t, second, key, never(t), "value", cache.FromRedis)
		time.Sleep(ttl)
		wantError(t, first, key, o.fails(errRefused), errRefused)
		wantError(t, second, key, never(t), errRefused)
		for range 5 {
			time.Sleep(2 * time.Second)
			wantError(t, second, key, o.fails(errUnavailable), errUnavailable)
		}
		time.Sleep(2 * time.Second)
		mustGet(t, second, key, o.returns("again"), "again", cache.FromOrigin)
		mustGet(t, first, key, never(t), "again", cache.FromRedis)
		time.Sleep(ttl)
		wantStale(t, first, key, o.fails(errUnavailable), "again", cache.StaleIfError)
	})
}

// TestRefusedBesideAFreshValue: a refusal that a process gets because Redis failed does not end the value that
// other processes have fresh.
func TestRefusedBesideAFreshValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redis := cachetest.NewFakeRedis(keysOf(t, 1), time.Now)
		p := redis.Process()
		cut := newCacheOf(usual, time.Now, newMemory(t, time.Now), p)
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		p.Cut(true)
		wantError(t, cut, key, func(context.Context) (cache.Entry[string], error) {
			other := newCacheOf(usual, time.Now, newMemory(t, time.Now), redis.Process())
			mustGet(t, other, key, o.returns("value"), "value", cache.FromOrigin)
			p.Cut(false) // before the outcome is stored
			return cache.Entry[string]{}, errRefused
		}, errRefused)
		third := newCacheOf(usual, time.Now, newMemory(t, time.Now), redis.Process())
		mustGet(t, third, key, never(t), "value", cache.FromRedis)
	})
}

// TestRefusedWhileFreshElsewhere: what a process has fresh, as a row of a list, stands when another is refused, and
// is not used stale.
func TestRefusedWhileFreshElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redis := cachetest.NewFakeRedis(keysOf(t, 1), time.Now)
		p := redis.Process()
		first := newCacheOf(usual, time.Now, newMemory(t, time.Now), p)
		second := newCacheOf(usual, time.Now, newMemory(t, time.Now), redis.Process())
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		first.Prime(key, cache.Entry[string]{Value: "row", FetchedAt: time.Now()}, first.Subscription())
		wantError(t, second, key, o.fails(errRefused), errRefused)
		mustGet(t, first, key, never(t), "row", cache.FromMemory)
		p.Disconnect(true) // so that it asks Redis
		mustGet(t, first, key, never(t), "row", cache.FromMemory)
		time.Sleep(ttl)
		wantError(t, first, key, o.fails(errUnavailable), errUnavailable)
	})
}

// TestStaleUntilItsEnd: a value that ends while it is stale is returned until then.
func TestStaleUntilItsEnd(t *testing.T) {
	bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, c, key, func(context.Context) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "value", FetchedAt: time.Now(), EndsAt: time.Now().Add(ttl + 2*time.Second)}, nil
		}, "value", cache.FromOrigin)
		time.Sleep(ttl + 2*time.Second - 1)
		wantStale(t, c, key, o.fails(errUnavailable), "value", cache.StaleIfError)
		time.Sleep(time.Nanosecond)
		wantError(t, c, key, never(t), errUnavailable)
	})
}

func TestStaleWhileRevalidate(t *testing.T) {
	bubble(t, cache.Policy{TTL: ttl, StaleWhileRevalidate: 3 * time.Second}, func(t *testing.T, c *cache.Cache[string]) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		close(h.release)
		mustGet(t, c, key, h.returns("value"), "value", cache.FromOrigin)
		h.release = make(chan struct{})
		time.Sleep(ttl)
		for range 10 { // without a pause, and with one load for all
			before := time.Now()
			wantStale(t, c, key, h.returns("new"), "value", cache.StaleWhileRevalidate)
			if took := time.Since(before); took != 0 {
				t.Errorf("took %s", took)
			}
		}
		synctest.Wait()
		if n := h.loads.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
		close(h.release)
		synctest.Wait()
		r, err := get(t, c, key, never(t))
		if err != nil || r.Value != "new" || r.Stale != cache.NotStale {
			t.Errorf("got %q, stale %q, error %v", r.Value, r.Stale, err)
		}
		time.Sleep(ttl + 3*time.Second)
		mustGet(t, c, key, h.returns("third"), "third", cache.FromOrigin) // the window is over
	})
}

// TestStaleWhileRevalidateFails: within the window a failure changes nothing, and no load follows for a
// second.
func TestStaleWhileRevalidateFails(t *testing.T) {
	bubble(t, cache.Policy{TTL: ttl, StaleWhileRevalidate: 3 * time.Second}, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		for range 20 {
			wantStale(t, c, key, o.fails(errFailed), "value", cache.StaleWhileRevalidate)
			synctest.Wait()
			time.Sleep(100 * time.Millisecond)
		}
		if n := o.loads.Load(); n != 3 {
			t.Errorf("%d loads in two seconds, want 3 with the first", n)
		}
		time.Sleep(time.Second)
		wantError(t, c, key, o.fails(errFailed), errFailed)
	})
}

func TestDenialEndsRevalidation(t *testing.T) {
	bubble(t, cache.Policy{TTL: ttl, StaleWhileRevalidate: time.Minute}, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		wantStale(t, c, key, o.fails(errDenied), "value", cache.StaleWhileRevalidate)
		synctest.Wait()
		wantError(t, c, key, o.fails(errDenied), errDenied)
	})
}

// TestSlowLoad: with a stale value at hand, reads wait for a load only during its first second. The load goes
// on.
func TestSlowLoad(t *testing.T) {
	bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		close(h.release)
		mustGet(t, c, key, h.returns("value"), "value", cache.FromOrigin)
		h.release = make(chan struct{})
		time.Sleep(ttl)
		for _, want := range []time.Duration{time.Second, 0} {
			before := time.Now()
			r := wantStale(t, c, key, h.returns("new"), "value", cache.StaleIfError)
			if took := time.Since(before); took != want || r.Cause != nil {
				t.Errorf("took %s, want %s; cause %v", took, want, r.Cause)
			}
		}
		close(h.release)
		synctest.Wait()
		if r, err := get(t, c, key, never(t)); err != nil || r.Value != "new" || r.Stale != cache.NotStale {
			t.Errorf("got %q, stale %q, error %v", r.Value, r.Stale, err)
		}
		if n := h.loads.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
	})
}

// TestSlowFirstLoad: without a stale value, reads wait for the load.
func TestSlowFirstLoad(t *testing.T) {
	bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		d := start(t.Context(), c, key, h.returns("value"))
		time.Sleep(8 * time.Second)
		select {
		case o := <-d:
			t.Fatalf("got %q, error %v", o.Value, o.err)
		default:
		}
		close(h.release)
		if o := <-d; o.err != nil || o.Value != "value" {
			t.Errorf("got %q, error %v", o.Value, o.err)
		}
	})
}

// TestEndWhileWaiting: a value that ends while a read waits for a load is not returned afterwards.
func TestEndWhileWaiting(t *testing.T) {
	bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		mustGet(t, c, key, func(context.Context) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "value", FetchedAt: time.Now(), EndsAt: time.Now().Add(ttl + time.Second/2)}, nil
		}, "value", cache.FromOrigin)
		time.Sleep(ttl)
		d := start(t.Context(), c, key, h.returns("new"))
		time.Sleep(3 * time.Second)
		select {
		case o := <-d:
			t.Fatalf("got %q, stale %q, error %v", o.Value, o.Stale, o.err)
		default:
		}
		close(h.release)
		if o := <-d; o.err != nil || o.Value != "new" {
			t.Errorf("got %q, error %v", o.Value, o.err)
		}
	})
}

func TestDenial(t *testing.T) {
	bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		wantError(t, c, key, o.fails(errDenied), errDenied)
		time.Sleep(2*time.Second - 1)
		wantError(t, c, key, never(t), errDenied)
		mustGet(t, c, cachetest.Key(t, "bob", 1), o.returns("bob's"), "bob's", cache.FromOrigin) // only the caller was denied
		time.Sleep(time.Nanosecond)
		mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		if got := c.Stats(); got.Memory.Denials+got.Redis.Denials != 1 {
			t.Errorf("%d and %d denials from memory and Redis, want 1", got.Memory.Denials, got.Redis.Denials)
		}
	})
}

func TestDenialNotKept(t *testing.T) {
	bubble(t, cache.Policy{TTL: ttl}, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		for range 3 {
			wantError(t, c, key, o.fails(errDenied), errDenied)
		}
		if n := o.loads.Load(); n != 3 {
			t.Errorf("%d loads, want 3", n)
		}
	})
}

// TestFailureIsRepeated: for a second after a failure, reads return its error without a load.
func TestFailureIsRepeated(t *testing.T) {
	for _, failure := range []error{errFailed, errUnavailable, errUnauthenticated} {
		bubble(t, usual, func(t *testing.T, c *cache.Cache[string]) {
			o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
			wantError(t, c, key, o.fails(failure), failure)
			time.Sleep(time.Second - 1)
			wantError(t, c, key, never(t), failure)
			mustGet(t, c, cachetest.Key(t, "bob", 1), o.returns("bob's"), "bob's", cache.FromOrigin)
			time.Sleep(time.Nanosecond)
			mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		})
	}
}

// TestNothingIsKept: with a TTL of 0 nothing is kept, not even errors.
func TestNothingIsKept(t *testing.T) {
	bubble(t, cache.Policy{StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour, NegativeTTL: time.Hour}, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		for _, failure := range []error{errDenied, errUnauthenticated, errUnavailable, errFailed} {
			wantError(t, c, key, o.fails(failure), failure)
			mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		}
	})
}

// TestNothingStaleWithoutRedis: while Redis cannot be asked, a revocation may have been missed, and reads
// return no stale value.
func TestNothingStaleWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cachetest.NewFakeRedis(keysOf(t, 1), time.Now).Process()
		both := usual
		both.StaleWhileRevalidate = 10 * time.Second
		c := newCacheOf(both, time.Now, newMemory(t, time.Now), p)
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		p.Cut(true)
		time.Sleep(ttl - 1)
		mustGet(t, c, key, never(t), "value", cache.FromMemory)
		time.Sleep(time.Nanosecond)
		wantError(t, c, key, o.fails(errUnavailable), errUnavailable)
		wantError(t, c, key, never(t), errUnavailable)
		p.Cut(false)
		wantStale(t, c, key, never(t), "value", cache.StaleWhileRevalidate)
	})
}

// TestOfferPastItsTime: an offer is checked again for a read that joins late, because its time may be over.
func TestOfferPastItsTime(t *testing.T) {
	for name, ends := range map[string]time.Duration{"the value's end": ttl + 2*time.Second, "the window's end": time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, cache.Policy{TTL: ttl, StaleWhileRevalidate: 3 * time.Second}, func(t *testing.T, c *cache.Cache[string]) {
				h, key := newHeld(), cachetest.Key(t, "alice", 1)
				at := time.Now()
				mustGet(t, c, key, func(context.Context) (cache.Entry[string], error) {
					return cache.Entry[string]{Value: "value", FetchedAt: at, EndsAt: at.Add(ends)}, nil
				}, "value", cache.FromOrigin)
				time.Sleep(ttl + time.Second)
				wantStale(t, c, key, h.returns("new"), "value", cache.StaleWhileRevalidate)
				time.Sleep(4 * time.Second) // the load still runs
				d := start(t.Context(), c, key, never(t))
				synctest.Wait()
				select {
				case o := <-d:
					t.Errorf("%s after the fetch: %q, stale %q", time.Since(at), o.Value, o.Stale)
				default:
				}
				close(h.release)
				if o := <-d; o.err != nil || o.Value != "new" {
					t.Errorf("got %q, error %v", o.Value, o.err)
				}
			})
		})
	}
}

func TestStaleIsCountedOnce(t *testing.T) {
	bubble(t, cache.Policy{TTL: ttl, StaleWhileRevalidate: 3 * time.Second}, func(t *testing.T, c *cache.Cache[string]) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		wantStale(t, c, key, o.returns("new"), "value", cache.StaleWhileRevalidate)
		synctest.Wait()
		if n := c.Stats().Memory.Stale + c.Stats().Redis.Stale; n != 1 {
			t.Errorf("one stale result is counted %d times", n)
		}
	})
}

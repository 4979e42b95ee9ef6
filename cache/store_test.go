package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

func TestMemoryConformance(t *testing.T) {
	cachetest.Conformance(t, func(t *testing.T) cachetest.Harness {
		clock := cachetest.NewClock()
		return cachetest.Harness{
			Store: newMemory(t, clock.Now),
			Pass:  func(_ testing.TB, d time.Duration) { clock.Advance(d) },
		}
	})
}

func TestRedisConformance(t *testing.T) {
	server := cachetest.StartRedis(t)
	conformance(t, newClient(t, server), func(t *testing.T) *cache.Redis[string] {
		return newRedis(t, server.URL(), keysOf(t, 1))
	})
}

// conformance runs the suites on a Redis of any form; open makes a process's store, client sees
// everything there is.
func conformance(t *testing.T, client redis.UniversalClient, open func(t *testing.T) *cache.Redis[string]) {
	// The server's own clock cannot be moved; the end of every value is brought nearer.
	pass := func(t testing.TB, d time.Duration) {
		for _, name := range redisKeys(t, client) {
			left, err := client.PTTL(context.Background(), name).Result()
			if err != nil || left <= 0 {
				t.Fatalf("%s lives for %s, error %v; every name must have an end", name, left, err)
			}
			if err := client.PExpire(context.Background(), name, left-d).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cachetest.Conformance(t, func(t *testing.T) cachetest.Harness {
		flush(t, client)
		return cachetest.Harness{Store: open(t), Pass: pass}
	})
	cachetest.SharedConformance(t, func(t *testing.T) cachetest.SharedHarness {
		flush(t, client)
		return cachetest.SharedHarness{One: open(t), Two: open(t), Pass: pass, Keys: keysOf(t, 1)}
	})
}

func TestCommonsConformance(t *testing.T) {
	cachetest.Conformance(t, func(t *testing.T) cachetest.Harness {
		clock := cachetest.NewClock()
		return cachetest.Harness{
			Store: cachetest.NewFakeRedis(keysOf(t, 1), clock.Now).Process(),
			Pass:  func(_ testing.TB, d time.Duration) { clock.Advance(d) },
		}
	})
	cachetest.SharedConformance(t, func(t *testing.T) cachetest.SharedHarness {
		clock := cachetest.NewClock()
		c := cachetest.NewFakeRedis(keysOf(t, 1), clock.Now)
		return cachetest.SharedHarness{
			One: c.Process(), Two: c.Process(), Keys: keysOf(t, 1),
			Pass: func(_ testing.TB, d time.Duration) { clock.Advance(d) },
		}
	})
}

func TestRedisForgetsByItself(t *testing.T) {
	server := cachetest.StartRedis(t)
	store, key := newRedis(t, server.URL(), keysOf(t, 1)), cachetest.Key(t, "alice", 1)
	if err := store.Set(t.Context(), key, cache.Entry[string]{Value: "value"}, 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, server)
	cachetest.Eventually(t, "the value goes with its ttl", func() bool { return len(redisKeys(t, client)) == 0 })
}

// Redis knows no ttl under a millisecond, and go-redis makes a whole one of it.
// TestValuesAtOnce: what is used again for values is used by one at a time, whatever their sizes.
func TestValuesAtOnce(t *testing.T) {
	s := newRedis(t, cachetest.StartRedis(t).URL(), keysOf(t, 1))
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			for id := range int32(30) {
				key := cachetest.Key(t, fmt.Sprint(caller), id+1)
				want := cache.Entry[string]{Value: strings.Repeat(fmt.Sprint(caller, " ", id, " "), 1<<(id/2)), FetchedAt: time.Now()}
				if err := s.Set(t.Context(), key, want, time.Minute); err != nil {
					t.Error(err)
				}
				if got, found, err := s.Get(t.Context(), key); err != nil || !found || got.Value != want.Value {
					t.Errorf("got %.20q, found %t, error %v; want %.20q", got.Value, found, err, want.Value)
				}
			}
		})
	}
	wg.Wait()
}

func TestRedisDoesNotRoundUp(t *testing.T) {
	server := cachetest.StartRedis(t)
	store, key := newRedis(t, server.URL(), keysOf(t, 1)), cachetest.Key(t, "alice", 1)
	if err := store.Set(t.Context(), key, cache.Entry[string]{Value: "value"}, time.Millisecond-1); err != nil {
		t.Fatal(err)
	}
	// Looking for the value would be too late.
	calls, err := newClient(t, server).Info(t.Context(), "commandstats").Result()
	if err != nil || strings.Contains(calls, "cmdstat_evalsha:") {
		t.Errorf("the server was asked to store, error %v:\n%s", err, calls)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	clock := cachetest.NewClock()
	m, err := cache.NewMemory(100_000, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	value := strings.Repeat("x", 1000)
	for id := int32(1); id <= 1000; id++ {
		if err := m.Set(t.Context(), cachetest.Key(t, "alice", id), cache.Entry[string]{Value: value}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	cachetest.Eventually(t, "the store shrinks to its bound", func() bool {
		kept := 0
		for id := int32(1); id <= 1000; id++ {
			if _, found, _ := m.Get(t.Context(), cachetest.Key(t, "alice", id)); found {
				kept++
			}
		}
		return 0 < kept && kept*len(value) <= 100_000
	})
}

func TestMemoryNeedsABound(t *testing.T) {
	if _, err := cache.NewMemory(0, time.Now); err == nil {
		t.Error("made a store without a bound")
	}
}

// otter has a clock of its own, which the fake one above does not move.
func TestMemoryRewriteBringsItsOwnExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, time.Now)
		key := cachetest.Key(t, "alice", 1)
		_ = m.Set(t.Context(), key, cache.Entry[string]{Value: "old"}, time.Minute)
		_ = m.Set(t.Context(), key, cache.Entry[string]{Value: "new"}, time.Hour)
		<-time.After(time.Hour - time.Second)
		if e, found, _ := m.Get(t.Context(), key); !found || e.Value != "new" {
			t.Errorf("got %q, found %t, want the new value", e.Value, found)
		}
		<-time.After(time.Second)
		if e, found, _ := m.Get(t.Context(), key); found {
			t.Errorf("found %q, want nothing", e.Value)
		}
	})
}

// A bubble does not end while a goroutine in it lives.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := cache.NewMemory(1<<20, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		c, o := newCache(time.Now, m, nil), &origin{now: time.Now}
		mustGet(t, c, cachetest.Key(t, "alice", 1), o.gives("value"), "value", cache.FromOrigin)
		mustGet(t, c, cachetest.Key(t, "alice", 1), never(t), "value", cache.FromMemory)
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

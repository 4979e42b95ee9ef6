package cache_test

import (
	"context"
	"strings"
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
		h := cachetest.InProcess(newMemory(t, clock.Now))
		h.Pass = func(_ testing.TB, d time.Duration) { clock.Advance(d) }
		return h
	})
}

func TestRedisConformance(t *testing.T) {
	server := cachetest.StartRedis(t)
	conformance(t, newClient(t, server), func(t *testing.T) *cache.Redis {
		return newRedis(t, server.URL(), keysOf(t, 1))
	})
}

// conformance runs the suites on any kind of Redis. open opens the store of a process, client sees the whole
// Redis.
func conformance(t *testing.T, client redis.UniversalClient, open func(t *testing.T) *cache.Redis) {
	// The server's clock cannot be moved, so every expiry is.
	pass := func(t testing.TB, d time.Duration) {
		for _, name := range redisKeys(t, client) {
			left, err := client.PTTL(context.Background(), name).Result()
			if err != nil || left <= 0 {
				t.Fatalf("%s has a ttl of %s, error %v; every name must have an expiry", name, left, err)
			}
			if err := client.PExpire(context.Background(), name, left-d).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cachetest.Conformance(t, func(t *testing.T) cachetest.Harness {
		flush(t, client)
		h := cachetest.InRedis(open(t))
		h.Pass = pass
		return h
	})
	cachetest.SharedConformance(t, func(t *testing.T) cachetest.SharedHarness {
		flush(t, client)
		return cachetest.SharedHarness{One: open(t), Two: open(t), Pass: pass, Keys: keysOf(t, 1)}
	})
}

func TestFakeRedisConformance(t *testing.T) {
	cachetest.Conformance(t, func(t *testing.T) cachetest.Harness {
		clock := cachetest.NewClock()
		h := cachetest.InRedis(cachetest.NewFakeRedis(keysOf(t, 1), clock.Now).Process())
		h.Pass = func(_ testing.TB, d time.Duration) { clock.Advance(d) }
		return h
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

func TestRedisExpires(t *testing.T) {
	server := cachetest.StartRedis(t)
	store, key := newRedis(t, server.URL(), keysOf(t, 1)), cachetest.Key(t, "alice", 1)
	if err := cachetest.Put(store, key, cache.Entry[string]{Value: "value"}, 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, server)
	cachetest.Eventually(t, "the value expires", func() bool { return len(redisKeys(t, client)) == 0 })
}

// TestRedisDoesNotRoundUp: Redis has no ttl under a millisecond, and go-redis would round it up.
func TestRedisDoesNotRoundUp(t *testing.T) {
	server := cachetest.StartRedis(t)
	store, key := newRedis(t, server.URL(), keysOf(t, 1)), cachetest.Key(t, "alice", 1)
	if err := cachetest.Put(store, key, cache.Entry[string]{Value: "value"}, time.Millisecond-1); err != nil {
		t.Fatal(err)
	}
	// Reading the value would be too late. The one SET is that of the lease.
	calls, err := newClient(t, server).Info(t.Context(), "commandstats").Result()
	if err != nil || !strings.Contains(calls, "cmdstat_set:calls=1,") {
		t.Errorf("the server was asked to store, error %v:\n%s", err, calls)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	clock := cachetest.NewClock()
	m, err := cache.NewMemory(100_000, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	value := strings.Repeat("x", 1000)
	for id := int32(1); id <= 1000; id++ {
		m.Set(cachetest.Key(t, "alice", id), cache.Entry[string]{Value: value}, time.Minute)
	}
	cachetest.Eventually(t, "the memory shrinks to its bound", func() bool {
		kept := 0
		for id := int32(1); id <= 1000; id++ {
			if _, found := m.Get(cachetest.Key(t, "alice", id)); found {
				kept++
			}
		}
		return 0 < kept && kept*len(value) <= 100_000
	})
}

func TestMemoryNeedsABound(t *testing.T) {
	if _, err := cache.NewMemory(0, time.Now); err == nil {
		t.Error("made a memory without a bound")
	}
}

// TestMemoryOverwriteExpiry: otter expires by the time of a bubble, not by the fake clock of the suite.
func TestMemoryOverwriteExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, time.Now)
		key := cachetest.Key(t, "alice", 1)
		m.Set(key, cache.Entry[string]{Value: "old"}, time.Minute)
		m.Set(key, cache.Entry[string]{Value: "new"}, time.Hour)
		<-time.After(time.Hour - time.Second)
		if e, found := m.Get(key); !found || e.Value != "new" {
			t.Errorf("got %q, found %t, want the new value", e.Value, found)
		}
		<-time.After(time.Second)
		if e, found := m.Get(key); found {
			t.Errorf("found %q, want nothing", e.Value)
		}
	})
}

// TestCloseLeavesNoGoroutine: a bubble does not end while it has goroutines.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := cache.NewMemory(1<<20, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		c, o := newCache(time.Now, m, nil), &origin{now: time.Now}
		mustGet(t, c, cachetest.Key(t, "alice", 1), o.returns("value"), "value", cache.FromOrigin)
		mustGet(t, c, cachetest.Key(t, "alice", 1), never(t), "value", cache.FromMemory)
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

package cache_test

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// TestStats: what one process has loaded, another finds in Redis and then in its memory.
func TestStats(t *testing.T) {
	policy := cache.Policy{TTL: 5 * time.Second, StaleWhileRevalidate: time.Second, StaleIfError: time.Minute, NegativeTTL: 2 * time.Second}
	for _, tt := range []struct {
		name   string
		first  error           // of the load
		then   time.Duration   // passes, and a load fails in the first process
		stats  cache.ReadStats // of each of the other process's reads, from Redis and from memory
		errors bool
	}{
		{"hit", nil, 0, cache.ReadStats{Hits: 1}, false},
		{"denied", errDenied, 0, cache.ReadStats{Denials: 1}, true},
		{"failed", errFailed, 0, cache.ReadStats{Failures: 1}, true},
		{"stale", nil, 10 * time.Second, cache.ReadStats{Stale: 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock, key := cachetest.NewClock(), cachetest.Key(t, "alice", 1)
			fake := cachetest.NewFakeRedis(keysOf(t, 1), clock.Now)
			o := &origin{now: clock.Now}
			one := newCacheOf(policy, clock.Now, newMemory(t, clock.Now), fake.Process())
			two := newCacheOf(policy, clock.Now, newMemory(t, clock.Now), fake.Process())
			load := o.returns("value")
			if tt.first != nil {
				load = o.fails(tt.first)
			}
			if _, err := one.Get(t.Context(), key, load); !errors.Is(err, tt.first) {
				t.Fatal(err)
			}
			if clock.Advance(tt.then); tt.then > 0 {
				if r, err := one.Get(t.Context(), key, o.fails(errUnavailable)); err != nil || r.Stale != cache.StaleIfError {
					t.Fatal(r, err)
				}
			}
			for range 2 {
				if _, err := two.Get(t.Context(), key, never(t)); (err != nil) != tt.errors {
					t.Fatal(err)
				}
			}
			wantStats(t, two, cache.Stats{Memory: tt.stats, Redis: tt.stats})
		})
	}
}

// TestRedisOperationsAreObserved: every operation is observed, but none that Redis is spared.
func TestRedisOperationsAreObserved(t *testing.T) {
	server := cachetest.StartRedis(t)
	client, err := cache.NewRedisClient(cache.RedisOptions{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	seen, failed := map[cache.Operation]int{}, 0
	store := cache.NewRedis(client, keysOf(t, 1), cache.StoreOptions{
		Prefix: "authentik-graphql:", Logger: slog.New(slog.DiscardHandler),
		Observe: func(op cache.Operation, took time.Duration, err error) {
			if seen[op]++; err != nil {
				failed++
			}
			if took <= 0 {
				t.Errorf("%s took %s", op, took)
			}
		},
	})
	defer func() { _ = store.Close() }()
	ctx, key := t.Context(), cachetest.Key(t, "alice", 1)
	_, _ = store.Read(ctx, key)
	_, _ = store.Acquire(ctx, key, "token", true)
	_, _ = store.Renew(ctx, key, "token")
	_, _ = store.Commit(ctx, key, "token", cache.Entry[string]{Value: "value", FetchedAt: time.Now()}, time.Minute)
	_ = store.Delete(ctx, key)
	_, _ = store.ListVersion(ctx, "codes")
	_ = store.Revoke(ctx, key.ResourceID(), time.Minute)
	texts, hash := cache.NewTexts(store), sha256.Sum256([]byte("text"))
	texts.Keep(ctx, hash, "text")
	texts.Text(ctx, hash)
	_ = store.Check(ctx)
	want := map[cache.Operation]int{}
	for _, op := range cache.Operations() {
		want[op] = 1
	}
	if !maps.Equal(seen, want) || failed != 0 {
		t.Errorf("%d failed of %v, want %v", failed, seen, want)
	}

	server.Kill()
	for range 20 {
		_, _ = store.Read(ctx, key)
	}
	if seen["read"] >= 21 || failed == 0 || failed != seen["read"]-1 {
		t.Errorf("without Redis: %d of %d failed", failed, seen["read"])
	}
}

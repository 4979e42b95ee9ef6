package cache_test

import (
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// value is as long as a code with its provider and user.
var value = strings.Repeat("x", 1000)

func benchmarkGet(b *testing.B, first cache.Store[string], second cache.Shared[string], from cache.Source) {
	c := cache.New(cache.Options{Policy: cache.Policy{TTL: time.Hour}, LoadTimeout: time.Minute}, first, second)
	o, key := &origin{now: time.Now}, cachetest.Key(b, "alice", 1)
	mustGet(b, c, key, o.gives(value), value, cache.Loaded)
	load := never(b)
	b.ReportAllocs()
	for b.Loop() {
		mustGet(b, c, key, load, value, from)
	}
}

func BenchmarkFirstLevelHit(b *testing.B) {
	benchmarkGet(b, newMemory(b, time.Now), nil, cache.FirstLevel)
}

// BenchmarkFirstLevelHitWithGraves is a hit while some other row is known to be revoked.
func BenchmarkFirstLevelHitWithGraves(b *testing.B) {
	c := cache.New(cache.Options{Policy: cache.Policy{TTL: time.Hour}, LoadTimeout: time.Minute}, newMemory(b, time.Now), nil)
	o, key := &origin{now: time.Now}, cachetest.Key(b, "alice", 1)
	mustGet(b, c, key, o.gives(value), value, cache.Loaded)
	if err := c.Bury(b.Context(), cachetest.Key(b, "alice", 2).Row()); err != nil {
		b.Fatal(err)
	}
	load := never(b)
	b.ReportAllocs()
	for b.Loop() {
		mustGet(b, c, key, load, value, cache.FirstLevel)
	}
}

func BenchmarkRedisHit(b *testing.B) {
	server := cachetest.StartRedis(b)
	benchmarkGet(b, empty{}, newRedis(b, server.URL(), keysOf(b, 1)), cache.SecondLevel)
}

func BenchmarkFirstLevelHitParallel(b *testing.B) {
	c := newCache(time.Now, newMemory(b, time.Now), nil)
	o, key := &origin{now: time.Now}, cachetest.Key(b, "alice", 1)
	load := o.gives(value)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Get(b.Context(), key, load); err != nil {
				b.Error(err)
			}
		}
	})
}

package cache_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// value is as long as an authorization code with its provider and user.
var value = strings.Repeat("x", 2700)

// newCacheFor makes a cache whose values are fresh for ttl.
func newCacheFor(ttl time.Duration, memory cache.Store, redis cache.Shared) *cache.Cache[string] {
	return newCacheOf(cache.Policy{TTL: ttl}, time.Now, memory, redis)
}

func benchmarkGet(b *testing.B, memory cache.Store, redis cache.Shared, from cache.Source) {
	c := newCacheFor(time.Hour, memory, redis)
	o, key := &origin{now: time.Now}, cachetest.Key(b, "alice", 1)
	mustGet(b, c, key, o.returns(value), value, cache.FromOrigin)
	load := never(b)
	b.ReportAllocs()
	for b.Loop() {
		mustGet(b, c, key, load, value, from)
	}
}

// read is for concurrent readers, which must not end the benchmark.
func read(b *testing.B, c *cache.Cache[string], key cache.Key, load cache.Loader[string]) {
	if _, err := c.Get(b.Context(), key, load); err != nil {
		b.Error(err)
	}
}

// parallel measures an operation that several callers per processor do at once.
func parallel(b *testing.B, op func()) {
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			op()
		}
	})
}

func BenchmarkMemoryHit(b *testing.B) {
	benchmarkGet(b, newMemory(b, time.Now), nil, cache.FromMemory)
}

// BenchmarkMemoryHitWithTombstones is a hit while another resource has a tombstone.
func BenchmarkMemoryHitWithTombstones(b *testing.B) {
	c := newCacheFor(time.Hour, newMemory(b, time.Now), nil)
	o, key := &origin{now: time.Now}, cachetest.Key(b, "alice", 1)
	mustGet(b, c, key, o.returns(value), value, cache.FromOrigin)
	if err := c.Revoke(b.Context(), cachetest.Key(b, "alice", 2).ResourceID()); err != nil {
		b.Fatal(err)
	}
	load := never(b)
	b.ReportAllocs()
	for b.Loop() {
		mustGet(b, c, key, load, value, cache.FromMemory)
	}
}

func BenchmarkRedisHit(b *testing.B) {
	const resources = 1000
	server := cachetest.StartRedisSocket(b)
	redis := newRedis(b, server.URL(), keysOf(b, 1))
	c := newCacheFor(time.Hour, empty{}, redis)
	for id := range int32(resources) {
		mustGet(b, c, cachetest.Key(b, "alice", id+1), (&origin{now: time.Now}).returns(value), value, cache.FromOrigin)
	}
	var id atomic.Int32
	parallel(b, func() { read(b, c, cachetest.Key(b, "alice", id.Add(1)%resources+1), never(b)) })
}

// benchmarkMiss reads another resource each time.
func benchmarkMiss(b *testing.B, redis cache.Shared) {
	c := newCacheFor(time.Hour, newMemory(b, time.Now), redis)
	load := (&origin{now: time.Now}).returns(value)
	var id atomic.Int32
	parallel(b, func() { read(b, c, cachetest.Key(b, "alice", id.Add(1)), load) })
}

func BenchmarkMiss(b *testing.B) { benchmarkMiss(b, nil) }

func BenchmarkRedisMiss(b *testing.B) {
	server := cachetest.StartRedisSocket(b)
	benchmarkMiss(b, newRedis(b, server.URL(), keysOf(b, 1)))
}

func BenchmarkMemoryHitParallel(b *testing.B) {
	c, key := newCache(time.Now, newMemory(b, time.Now), nil), cachetest.Key(b, "alice", 1)
	load := (&origin{now: time.Now}).returns(value)
	parallel(b, func() { read(b, c, key, load) })
}

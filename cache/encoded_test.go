package cache_test

import (
	"errors"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// decodings is a codec that counts its decodings, of which each fails for as long as fails is set.
type decodings struct {
	n     int
	fails bool
}

func (d *decodings) codec() cache.Codec[string] {
	codec := cachetest.StringCodec
	codec.Decode = func(s string) (string, error) {
		if d.n++; d.fails {
			return "", errors.New("not to be decoded")
		}
		return cachetest.StringCodec.Decode(s)
	}
	return codec
}

// TestMemoryDecodes: only who gets a value pays for its decoding.
func TestMemoryDecodes(t *testing.T) {
	clock := cachetest.NewClock()
	key := cachetest.Key(t, "alice", 1)
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, c *cache.Cache[string], mark cache.Dependency)
		want int
	}{
		{"a hit", func(t *testing.T, c *cache.Cache[string], _ cache.Dependency) {
			mustGet(t, c, key, never(t), "value", cache.FromMemory)
		}, 1},
		{"whether a read stands", func(t *testing.T, c *cache.Cache[string], mark cache.Dependency) {
			if !c.Valid(mark, clock.Now()) {
				t.Error("the read does not stand")
			}
		}, 0},
		{"a row of a list", func(t *testing.T, c *cache.Cache[string], _ cache.Dependency) {
			c.Prime(key, cache.Entry[string]{Value: "value", FetchedAt: clock.Now()}, c.Subscription())
		}, 0},
		{"a miss", func(t *testing.T, c *cache.Cache[string], _ cache.Dependency) {
			mustGet(t, c, cachetest.Key(t, "bob", 1), (&origin{now: clock.Now}).gives("his"), "his", cache.FromOrigin)
		}, 0},
		{"a denial", func(t *testing.T, c *cache.Cache[string], _ cache.Dependency) {
			denied := cachetest.Key(t, "bob", 1)
			for range 2 {
				if _, err := c.Get(t.Context(), denied, (&origin{now: clock.Now}).fails(errDenied)); !errors.Is(err, errDenied) {
					t.Errorf("error %v, want %v", err, errDenied)
				}
			}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d decodings
			c := cache.New(cache.Options{Policy: cache.Policy{TTL: ttl, NegativeTTL: ttl}, LoadTimeout: time.Second, Classify: classify, Now: clock.Now},
				d.codec(), newMemory(t, clock.Now), nil)
			r := mustGet(t, c, key, (&origin{now: clock.Now}).gives("value"), "value", cache.FromOrigin)
			if tt.do(t, c, r.Dependency()); d.n != tt.want {
				t.Errorf("%d values were decoded, want %d", d.n, tt.want)
			}
		})
	}
}

// TestMemoryCannotDecode: what cannot be decoded is loaded again, and is no error to the caller.
func TestMemoryCannotDecode(t *testing.T) {
	d := decodings{fails: true}
	c := cache.New(cache.Options{Policy: cache.Policy{TTL: ttl}, LoadTimeout: time.Second}, d.codec(), newMemory(t, time.Now), nil)
	o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
	mustGet(t, c, key, o.gives("value"), "value", cache.FromOrigin)
	mustGet(t, c, key, o.gives("again"), "again", cache.FromOrigin)
	d.fails = false
	mustGet(t, c, key, never(t), "again", cache.FromMemory)
}

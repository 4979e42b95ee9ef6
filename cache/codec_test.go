package cache_test

import (
	"errors"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// decodings counts the decodings of a codec, which fail while fails is set.
type decodings struct {
	n     int
	fails bool
}

func (d *decodings) codec() cache.Codec[string] {
	codec := cachetest.StringCodec
	codec.Decode = func(s string) (string, error) {
		if d.n++; d.fails {
			return "", errors.New("cannot be decoded")
		}
		return cachetest.StringCodec.Decode(s)
	}
	return codec
}

// TestMemoryDecodes: a value is decoded only for a read that returns it.
func TestMemoryDecodes(t *testing.T) {
	clock := cachetest.NewClock()
	key := cachetest.Key(t, "alice", 1)
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, c *cache.Cache[string], d cache.Dependency)
		want int
	}{
		{"a hit", func(t *testing.T, c *cache.Cache[string], _ cache.Dependency) {
			mustGet(t, c, key, never(t), "value", cache.FromMemory)
		}, 1},
		{"a dependency", func(t *testing.T, c *cache.Cache[string], d cache.Dependency) {
			if !c.Valid(d, clock.Now()) {
				t.Error("the dependency is not valid")
			}
		}, 0},
		{"an entry that is primed", func(t *testing.T, c *cache.Cache[string], _ cache.Dependency) {
			c.Prime(key, cache.Entry[string]{Value: "value", FetchedAt: clock.Now()}, c.Subscription())
		}, 0},
		{"a miss", func(t *testing.T, c *cache.Cache[string], _ cache.Dependency) {
			mustGet(t, c, cachetest.Key(t, "bob", 1), (&origin{now: clock.Now}).returns("his"), "his", cache.FromOrigin)
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
			r := mustGet(t, c, key, (&origin{now: clock.Now}).returns("value"), "value", cache.FromOrigin)
			if tt.do(t, c, r.Dependency()); d.n != tt.want {
				t.Errorf("%d values were decoded, want %d", d.n, tt.want)
			}
		})
	}
}

// TestMemoryCannotDecode: an entry that cannot be decoded is a miss.
func TestMemoryCannotDecode(t *testing.T) {
	d := decodings{fails: true}
	c := cache.New(cache.Options{Policy: cache.Policy{TTL: ttl}, LoadTimeout: time.Second, Now: time.Now}, d.codec(), newMemory(t, time.Now), nil)
	o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
	mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
	mustGet(t, c, key, o.returns("again"), "again", cache.FromOrigin)
	d.fails = false
	mustGet(t, c, key, never(t), "again", cache.FromMemory)
}

package cache_test

import (
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// TestPolicyOfKind caches a kind of resource by its own policy, beside one by the common policy.
func TestPolicyOfKind(t *testing.T) {
	for _, tt := range []struct {
		name         string
		common, kind cache.Policy
		after        time.Duration
		// what answers a read of the common kind and of the other one then
		first, second cache.Source
		tombstone     bool // whether a revocation from the start still counts
	}{
		{"both are fresh", cache.Policy{TTL: ttl}, cache.Policy{TTL: time.Minute}, ttl - 1, cache.FromMemory, cache.FromMemory, true},
		{"the kind is fresh for longer", cache.Policy{TTL: ttl}, cache.Policy{TTL: time.Minute}, time.Minute - 1, cache.FromOrigin, cache.FromMemory, true},
		{"the kind is fresh for less", cache.Policy{TTL: time.Minute}, cache.Policy{TTL: ttl}, ttl, cache.FromMemory, cache.FromOrigin, true},
		{"the kind is not cached", cache.Policy{TTL: ttl}, cache.Policy{}, 1, cache.FromMemory, cache.FromOrigin, true},
		{"nothing else is cached", cache.Policy{}, cache.Policy{TTL: time.Minute}, 1, cache.FromOrigin, cache.FromMemory, true},
		{"a stale value of the kind", cache.Policy{TTL: ttl}, cache.Policy{TTL: ttl, StaleIfError: time.Hour}, time.Hour, cache.FromOrigin, cache.FromOrigin, true},
		{"all is over", cache.Policy{TTL: ttl}, cache.Policy{TTL: time.Minute}, 2 * time.Minute, cache.FromOrigin, cache.FromOrigin, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := cachetest.NewClock()
			c := cache.New(cache.Options{
				Policy: tt.common, Policies: map[string]cache.Policy{"kinds": tt.kind},
				LoadTimeout: 10 * time.Second, Classify: classify, Now: clock.Now,
			}, cachetest.StringCodec, newMemory(t, clock.Now), nil)
			o := origin{now: clock.Now}
			keys := [3]cache.Key{}
			for i, resource := range []string{"codes", "kinds", "kinds"} {
				key, err := cache.NewKey(cachetest.Caller("alice"), resource, int32(i+1), "")
				if err != nil {
					t.Fatal(err)
				}
				keys[i] = key
				mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
			}
			if err := c.Revoke(t.Context(), keys[2].ResourceID()); err != nil {
				t.Fatal(err)
			}
			clock.Advance(tt.after)
			mustGet(t, c, keys[0], o.returns("value"), "value", tt.first)
			if _, peeked := c.Peek(t.Context(), keys[1]); peeked != (tt.second == cache.FromMemory) {
				t.Errorf("peeked: %t", peeked)
			}
			r := mustGet(t, c, keys[1], o.returns("value"), "value", tt.second)
			if want := r.FetchedAt.Add(tt.kind.TTL); !r.FreshUntil.Equal(want) {
				t.Errorf("fresh until %v, want %v", r.FreshUntil, want)
			}
			if got := c.Revoked(keys[2].ResourceID()); got != tt.tombstone {
				t.Errorf("revoked: %t", got)
			}
		})
	}
}

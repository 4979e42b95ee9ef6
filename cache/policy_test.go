package cache_test

import (
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

func TestPolicy(t *testing.T) {
	fetched := cachetest.NewClock().Now()
	const never = 1000 * time.Hour
	for _, tt := range []struct {
		name string
		ttl  time.Duration
		ends time.Duration // after the fetch; never for a value without an end
		at   time.Duration // of the read, after the fetch
		want bool
	}{
		{"at the fetch", ttl, never, 0, true},
		{"just before the ttl", ttl, never, ttl - 1, true},
		{"at the ttl", ttl, never, ttl, false},
		{"just before the end", ttl, time.Second, time.Second - 1, true},
		{"at the end", ttl, time.Second, time.Second, false},
		{"an end a moment after the fetch", ttl, 1, 1, false},
		{"an end after the ttl does not extend it", ttl, time.Hour, ttl, false},
		{"an end at the fetch says nothing", ttl, 0, ttl - 1, true},
		{"an end before the fetch says nothing", ttl, -time.Hour, ttl - 1, true},
		{"an end before the fetch does not extend", ttl, -time.Hour, ttl, false},
		{"fetched a little in the future", ttl, never, -time.Second, true},
		{"fetched in the future", ttl, never, -time.Second - 1, false},
		{"without a ttl at the fetch", 0, never, 0, false},
		{"without a ttl and with an end", 0, time.Hour, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ends time.Time
			if tt.ends != never {
				ends = fetched.Add(tt.ends)
			}
			if got := (cache.Policy{TTL: tt.ttl}).Fresh(fetched, ends, fetched.Add(tt.at)); got != tt.want {
				t.Errorf("fresh: got %t, want %t", got, tt.want)
			}
		})
	}
	if (cache.Policy{TTL: ttl}).Fresh(time.Time{}, time.Time{}, fetched) {
		t.Error("a value without the time of its fetch is fresh")
	}
}

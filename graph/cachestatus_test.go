package graph

import (
	"net/http"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// TestSetFreshness gives what an answer states for the reads it is made of.
func TestSetFreshness(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	code := func(s cache.Source, fetched, freshUntil time.Duration, stale cache.Staleness) GrantRead {
		return GrantRead{
			Entry:  cache.Entry[*upstream.Grant]{Value: &upstream.Grant{}, FetchedAt: now.Add(fetched)},
			Source: s, FreshUntil: now.Add(freshUntil), Stale: stale,
		}
	}
	miss := code(cache.Loaded, 0, 5*time.Second, "")
	hit := code(cache.FirstLevel, -2*time.Second, 3*time.Second+time.Second/2, "")
	other := code(cache.SecondLevel, -4*time.Second, time.Second, "")
	replaced := miss
	replaced.Replaced = true
	onError := code(cache.FirstLevel, -20*time.Second, -15*time.Second, cache.StaleIfError)
	revalidating := code(cache.FirstLevel, -6*time.Second, -time.Second/2, cache.StaleWhileRevalidate)
	slow := code(cache.FirstLevel, -5*time.Second, 0, cache.StaleIfError)
	for _, tt := range []struct {
		name                 string
		reads                []GrantRead
		failed               bool
		status, control, age string
		extension            *staleness
	}{
		{"no code", nil, false, "", "no-store", "", nil},
		{"a miss", []GrantRead{miss}, false, "fwd=miss", "private, max-age=5", "0", nil},
		{"a hit", []GrantRead{hit}, false, "hit; ttl=3", "private, max-age=3", "2", nil},
		{"a hit in Redis", []GrantRead{other}, false, "hit; ttl=1", "private, max-age=1", "4", nil},
		{"a miss where a stale one was", []GrantRead{replaced}, false, "fwd=stale", "private, max-age=5", "0", nil},
		{"the least fresh decides", []GrantRead{miss, other, hit}, false, "hit; ttl=1", "private, max-age=1", "4", nil},
		{"with an error", []GrantRead{hit}, true, "hit; ttl=3", "no-store", "2", nil},
		{"stale on an error", []GrantRead{onError}, false, "fwd=stale; detail=stale-if-error", "no-store", "20", &staleness{"STALE", 20, cache.StaleIfError}},
		{"stale while it is fetched anew", []GrantRead{revalidating}, false, "hit; ttl=-1; detail=stale-while-revalidate", "no-store", "6", &staleness{"STALE", 6, cache.StaleWhileRevalidate}},
		{"stale among fresh", []GrantRead{other, slow, miss}, false, "fwd=stale; detail=stale-if-error", "no-store", "5", &staleness{"STALE", 5, cache.StaleIfError}},
		{"the more stale of two", []GrantRead{revalidating, onError}, false, "fwd=stale; detail=stale-if-error", "no-store", "20", &staleness{"STALE", 20, cache.StaleIfError}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Request{reads: map[readKey]*read{}}
			for i, c := range tt.reads {
				r.reads[readKey{pk: upstream.PK(i + 1)}] = &read{grant: c.Value, shown: true, freshness: cache.With(c, struct{}{})}
			}
			h := http.Header{}
			extension := r.setFreshness(h, tt.failed, now)
			status := tt.status
			if status != "" {
				status = "authentik-graphql; " + status
			}
			for name, want := range map[string]string{"Cache-Status": status, "Cache-Control": tt.control, "Age": tt.age, "Vary": "Authorization, Accept"} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if (extension == nil) != (tt.extension == nil) || extension != nil && *extension != *tt.extension {
				t.Errorf("extensions.cache: got %v, want %v", extension, tt.extension)
			}
		})
	}
}

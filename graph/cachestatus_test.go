package graph

import (
	"net/http"
	"testing"
	"time"

	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// TestSetFreshness checks the header fields that a response gets from its reads.
func TestSetFreshness(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	code := func(cached bool, fetched, freshUntil time.Duration, stale grants.Staleness) grants.Freshness {
		return grants.Freshness{FetchedAt: now.Add(fetched), FreshUntil: now.Add(freshUntil), Cached: cached, Stale: stale}
	}
	miss := code(false, 0, 5*time.Second, "")
	hit := code(true, -2*time.Second, 3*time.Second+time.Second/2, "")
	older := code(true, -4*time.Second, time.Second, "")
	replaced := miss
	replaced.Replaced = true
	onError := code(true, -20*time.Second, -15*time.Second, grants.StaleIfError)
	revalidating := code(true, -6*time.Second, -time.Second/2, grants.StaleWhileRevalidate)
	slow := code(true, -5*time.Second, 0, grants.StaleIfError)
	for _, tt := range []struct {
		name                 string
		reads                []grants.Freshness
		failed               bool
		status, control, age string
		extension            *staleness
	}{
		{"no code", nil, false, "", "no-store", "", nil},
		{"a miss", []grants.Freshness{miss}, false, "fwd=miss", "private, max-age=5", "0", nil},
		{"a hit", []grants.Freshness{hit}, false, "hit; ttl=3", "private, max-age=3", "2", nil},
		{"an older hit", []grants.Freshness{older}, false, "hit; ttl=1", "private, max-age=1", "4", nil},
		{"a miss where a stale one was", []grants.Freshness{replaced}, false, "fwd=stale", "private, max-age=5", "0", nil},
		{"of equals the one that replaced a stale one", []grants.Freshness{miss, code(true, 0, 5*time.Second, ""), replaced}, false, "fwd=stale", "private, max-age=5", "0", nil},
		{"of equals the miss", []grants.Freshness{code(true, 0, 5*time.Second, ""), miss}, false, "fwd=miss", "private, max-age=5", "0", nil},
		{"the least fresh decides", []grants.Freshness{miss, older, hit}, false, "hit; ttl=1", "private, max-age=1", "4", nil},
		{"with an error", []grants.Freshness{hit}, true, "hit; ttl=3", "no-store", "2", nil},
		{"stale on an error", []grants.Freshness{onError}, false, "fwd=stale; detail=stale-if-error", "no-store", "20", &staleness{"STALE", 20, grants.StaleIfError}},
		{"stale while it is revalidated", []grants.Freshness{revalidating}, false, "hit; ttl=-1; detail=stale-while-revalidate", "no-store", "6", &staleness{"STALE", 6, grants.StaleWhileRevalidate}},
		{"stale among fresh", []grants.Freshness{older, slow, miss}, false, "fwd=stale; detail=stale-if-error", "no-store", "5", &staleness{"STALE", 5, grants.StaleIfError}},
		{"the more stale of two", []grants.Freshness{revalidating, onError}, false, "fwd=stale; detail=stale-if-error", "no-store", "20", &staleness{"STALE", 20, grants.StaleIfError}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Request{reads: map[readKey]*read{}}
			for i, freshness := range tt.reads {
				r.reads[readKey{pk: upstream.PK(i + 1)}] = &read{freshness: freshness}
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

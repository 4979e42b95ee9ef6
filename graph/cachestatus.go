package graph

import (
	"net/http"
	"strconv"
	"time"

	"authentik-graphql/cache"
)

const cacheName = "authentik-graphql"

// setFreshness states on the answer how fresh it is: Cache-Control and Age (RFC 9111),
// Cache-Status (RFC 9211). The least fresh of the codes it shows decides. An answer with an error,
// or without any code, is not to be stored by anybody.
func (r *Request) setFreshness(h http.Header, failed bool, now time.Time) {
	h["Cache-Control"] = []string{"no-store"}
	h["Vary"] = append(h["Vary"], "Authorization, Accept")
	r.mu.Lock()
	defer r.mu.Unlock()
	least := leastFresh(r.reads)
	if least == nil {
		return
	}
	ttl := max(int(least.FreshUntil.Sub(now)/time.Second), 0)
	if least.Source == cache.Loaded {
		r.facts.CacheStatus = "fwd=miss"
	} else {
		r.facts.CacheStatus = "hit; ttl=" + strconv.Itoa(ttl)
	}
	h["Cache-Status"] = []string{cacheName + "; " + r.facts.CacheStatus}
	if failed {
		return
	}
	h["Cache-Control"] = []string{"private, max-age=" + strconv.Itoa(ttl)}
	h["Age"] = []string{strconv.Itoa(max(int(now.Sub(least.FetchedAt)/time.Second), 0))}
}

// leastFresh returns the read that stops being fresh first, nil if none succeeded.
func leastFresh[K comparable](reads map[K]*read) *read {
	var least *read
	for _, read := range reads {
		if read.Value == nil || read.err != nil {
			continue
		}
		if least == nil || read.FreshUntil.Before(least.FreshUntil) {
			least = read
		}
	}
	return least
}

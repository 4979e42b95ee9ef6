package graph

import (
	"net/http"
	"strconv"
	"time"

	"authentik-graphql/internal/grants"
)

const (
	cacheName = "authentik-graphql"
	// vary names what of a request decides its answer.
	vary = "Authorization, Accept"
)

// staleness is what extensions.cache says of an answer that shows a stale code.
type staleness struct {
	Status string           `json:"status"`
	Age    int              `json:"age"`
	Reason grants.Staleness `json:"reason"`
}

// stateAge sets what tells the age of an answer and where it is from. It returns the Cache-Status
// without the cache's name.
func stateAge(h http.Header, read grants.Freshness, now time.Time) string {
	status := cacheStatus(read, now)
	h["Cache-Status"] = []string{cacheName + "; " + status}
	h["Age"] = []string{strconv.Itoa(ageOf(read, now))}
	return status
}

func maxAge(read grants.Freshness, now time.Time) string {
	return "private, max-age=" + strconv.Itoa(max(remaining(read, now), 0))
}

// ageOf is the age in whole seconds.
func ageOf(read grants.Freshness, now time.Time) int {
	return max(int(now.Sub(read.FetchedAt)/time.Second), 0)
}

// cacheStatus is the member of Cache-Status after the cache's name. What is stale because authentik
// does not work was forwarded in vain; what is stale while it is fetched anew is a hit, past its time.
func cacheStatus(read grants.Freshness, now time.Time) string {
	switch {
	case read.Stale == grants.StaleIfError:
		return "fwd=stale; detail=" + string(read.Stale)
	case read.Stale != grants.NotStale:
		return "hit; ttl=" + strconv.Itoa(min(remaining(read, now), -1)) + "; detail=" + string(read.Stale)
	case read.Cached:
		return "hit; ttl=" + strconv.Itoa(max(remaining(read, now), 0))
	case read.Replaced:
		return "fwd=stale"
	}
	return "fwd=miss"
}

// remaining is how long a code is still fresh, in whole seconds.
func remaining(read grants.Freshness, now time.Time) int {
	return int(read.FreshUntil.Sub(now) / time.Second)
}

// leastFresh returns the read that stopped or stops being fresh first, nil if none succeeded.
func leastFresh[K comparable](reads map[K]*read) *read {
	var least *read
	for _, read := range reads {
		switch {
		case !read.shown():
		case least == nil, lessFresh(read.freshness, least.freshness):
			least = read
		}
	}
	return least
}

// lessFresh puts what was stale when it was read before what was not.
func lessFresh(a, b grants.Freshness) bool {
	if stale := a.Stale != grants.NotStale; stale != (b.Stale != grants.NotStale) {
		return stale
	}
	if !a.FreshUntil.Equal(b.FreshUntil) {
		return a.FreshUntil.Before(b.FreshUntil)
	}
	return a.FetchedAt.Before(b.FetchedAt)
}

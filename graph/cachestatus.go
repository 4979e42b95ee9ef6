package graph

import (
	"net/http"
	"strconv"
	"time"

	"authentik-graphql/internal/grants"
)

const (
	cacheName = "authentik-graphql"
	// vary names the header fields on which a response depends.
	vary = "Authorization, Accept"
)

// staleness is extensions.cache of a response that shows a stale value.
type staleness struct {
	Status string           `json:"status"`
	Age    int              `json:"age"`
	Reason grants.Staleness `json:"reason"`
}

// stateAge sets Cache-Status and Age. It returns the Cache-Status without the cache's name.
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

// cacheStatus returns the parameters of Cache-Status. A value that is stale because authentik failed was
// forwarded in vain; one that is stale while it is revalidated is a hit with a negative ttl.
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

// remaining is how long a value is still fresh, in whole seconds.
func remaining(read grants.Freshness, now time.Time) int {
	return int(read.FreshUntil.Sub(now) / time.Second)
}

// lessFresh orders values that were stale when they were read before all others. Of two that are as fresh, the one
// that cost a call comes first, so that chance does not decide what Cache-Status says.
func lessFresh(a, b grants.Freshness) bool {
	if stale := a.Stale != grants.NotStale; stale != (b.Stale != grants.NotStale) {
		return stale
	}
	if !a.FreshUntil.Equal(b.FreshUntil) {
		return a.FreshUntil.Before(b.FreshUntil)
	}
	if !a.FetchedAt.Equal(b.FetchedAt) {
		return a.FetchedAt.Before(b.FetchedAt)
	}
	if a.Cached != b.Cached {
		return b.Cached
	}
	return a.Replaced && !b.Replaced
}

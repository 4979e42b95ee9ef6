package main

import (
	"math"
	"net/http"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
)

// maxRateCallers is how many callers' allowances are remembered. One who is forgotten has a whole
// burst again.
const maxRateCallers = 10000

// rateLimiter gives each caller an allowance of their own, of this process alone.
type rateLimiter struct {
	limit      rate.Limit
	burst      int
	now        func() time.Time
	allowances *lru.Cache[callerKey, *rate.Limiter]
}

// callerKey is whom an allowance belongs to; one of its fields is set.
type callerKey struct {
	name    string
	token   cache.Caller
	address netip.Addr
}

// newRateLimiter returns nil, which limits nobody, for a rate of 0.
func newRateLimiter(r float64, now func() time.Time) *rateLimiter {
	if r == 0 {
		return nil
	}
	allowances, _ := lru.New[callerKey, *rate.Limiter](maxRateCallers) // fails only for a size below 1
	return &rateLimiter{limit: rate.Limit(r), burst: max(1, int(2*r)), now: now, allowances: allowances}
}

// handler answers 429 to a caller who has no allowance left, before the body is read. Preflights are
// the browser's own.
func (l *rateLimiter) handler(next http.Handler) http.Handler {
	if l == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions {
			if wait := l.take(l.keyOf(graph.FromContext(r.Context()), r.RemoteAddr)); wait > 0 {
				graph.WriteRateLimited(w, r, float64(l.limit), wait)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// take uses up one request of an allowance. If there is none it returns how long to wait for one.
func (l *rateLimiter) take(key callerKey) time.Duration {
	allowance, ok := l.allowances.Get(key)
	if !ok {
		allowance = rate.NewLimiter(l.limit, l.burst)
		if other, ok, _ := l.allowances.PeekOrAdd(key, allowance); ok { // one who came at the same time
			allowance = other
		}
	}
	now := l.now()
	if allowance.AllowN(now, 1) {
		return 0
	}
	missing := 1 - allowance.TokensAt(now)
	return max(1, time.Duration(math.Ceil(missing/float64(l.limit)*float64(time.Second))))
}

// keyOf tells callers apart by their name, else by their token, else by the address they call from.
// A token that is not in CALLERS_FILE counts for the address: whoever tries tokens has one allowance.
func (l *rateLimiter) keyOf(req *graph.Request, remote string) callerKey {
	switch {
	case req.CallerName != "":
		return callerKey{name: req.CallerName}
	case req.Digest != (cache.Caller{}):
		return callerKey{token: req.Digest}
	}
	return callerKey{address: networkOf(remote)}
}

// networkOf is a peer's address or, in IPv6, its /64 network, of which one host has all addresses.
func networkOf(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap().WithZone("")
	if address.Is6() {
		prefix, _ := address.Prefix(64)
		return prefix.Addr()
	}
	return address
}

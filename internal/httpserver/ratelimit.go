package httpserver

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
)

// maxRateCallers is how many callers' allowances are remembered. A caller that is forgotten has a whole burst again.
const maxRateCallers = 10000

// rateLimiter gives each caller an allowance in this process.
type rateLimiter struct {
	limit      rate.Limit
	burst      int
	now        func() time.Time
	allowances *lru.Cache[callerKey, *rate.Limiter]
}

// callerKey says whose an allowance is. One of its fields is set.
type callerKey struct {
	name    string
	token   grants.Digest
	address netip.Addr
}

func newRateLimiter(r float64, now func() time.Time) *rateLimiter {
	allowances, _ := lru.New[callerKey, *rate.Limiter](maxRateCallers) // fails only for a size below 1
	return &rateLimiter{limit: rate.Limit(r), burst: max(1, int(2*r)), now: now, allowances: allowances}
}

// handler answers 429 to a caller without an allowance, before the body is read. Preflights are free: the browser
// sends them, not the caller.
func (l *rateLimiter) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions {
			if wait := l.take(keyOf(graph.FromContext(r.Context()), r.RemoteAddr)); wait > 0 {
				graph.WriteError(w, r, &apierror.Error{
					Code:       apierror.RateLimited,
					Message:    "You send more requests than RATE_LIMIT allows, which is " + strconv.FormatFloat(float64(l.limit), 'f', -1, 64) + " a second.",
					Limit:      "RATE_LIMIT",
					RetryAfter: wait,
				})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// take uses one request of an allowance, or returns how long to wait for one.
func (l *rateLimiter) take(key callerKey) time.Duration {
	allowance, ok := l.allowances.Get(key)
	if !ok {
		allowance = rate.NewLimiter(l.limit, l.burst)
		if other, ok, _ := l.allowances.PeekOrAdd(key, allowance); ok { // of a concurrent request
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

// keyOf distinguishes callers by name, else by token, else by address. In service mode a token that is not listed
// counts for its address, so that a client that tries tokens has one allowance.
func keyOf(req *graph.Request, remote string) callerKey {
	switch {
	case req.CallerName != "":
		return callerKey{name: req.CallerName}
	case req.Digest != (grants.Digest{}):
		return callerKey{token: req.Digest}
	}
	return callerKey{address: networkOf(remote)}
}

// networkOf returns a peer's address or, in IPv6, its /64 network, all of whose addresses one host can have.
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

package main

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
	"authentik-graphql/graph"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream/upstreamtest"
)

func TestAllowance(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	type step struct {
		after time.Duration // since the step before
		wait  time.Duration
	}
	tests := []struct {
		rate  float64
		steps []step
	}{
		// A burst of ten, then one every 200 ms.
		{5, []step{{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 200 * ms}, {50 * ms, 150 * ms}, {150 * ms, 0}, {0, 200 * ms}}},
		{5, []step{{0, 0}, {time.Hour, 0}}},
		{0.5, []step{{0, 0}, {0, 2 * s}, {500 * ms, 1500 * ms}, {1500 * ms, 0}, {time.Hour, 0}, {0, 2 * s}}},
		{0.001, []step{{0, 0}, {0, 1000 * s}, {999 * s, s}, {s, 0}}},
		{1, []step{{0, 0}, {0, 0}, {0, s}, {-time.Hour, s}}}, // a clock that goes back gives nothing
		{1e6, []step{{0, 0}, {0, 0}}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.rate), func(t *testing.T) {
			clock := cachetest.NewClock()
			l := newRateLimiter(tt.rate, clock.Now)
			for i, step := range tt.steps {
				clock.Advance(step.after)
				if got := l.take(callerKey{name: "a"}); (got - step.wait).Abs() > time.Microsecond {
					t.Errorf("step %d: wait %s, want %s", i, got, step.wait)
				}
			}
			if l.take(callerKey{name: "b"}) != 0 {
				t.Error("another caller has no allowance of their own")
			}
		})
	}
}

// TestLastCallersAreRemembered checks that of 20,001 callers none of the 10,000 who asked last gets a fresh
// burst. A cache that evicts by frequency would give one to half of them.
func TestLastCallersAreRemembered(t *testing.T) {
	now := time.Now()
	l := newRateLimiter(0.5, func() time.Time { return now })
	key := func(i int) callerKey { return callerKey{name: strconv.Itoa(i)} }
	for i := range 20001 {
		if l.take(key(i)) != 0 {
			t.Fatalf("caller %d has no burst", i)
		}
	}
	for i := 10001; i < 20001; i++ {
		if l.take(key(i)) == 0 {
			t.Fatalf("caller %d gets a fresh burst", i)
		}
	}
}

func TestWhoIsLimited(t *testing.T) {
	l := newRateLimiter(1, time.Now)
	key := func(name, token, remote string) callerKey {
		req := &graph.Request{CallerName: name}
		if token != "" {
			req.Digest = cache.Caller([]byte(fmt.Sprintf("%-32s", token)))
		}
		return l.keyOf(req, remote)
	}
	same := func(what string, a, b callerKey, want bool) {
		t.Helper()
		if (a == b) != want {
			t.Errorf("%s: counted as the same is %t", what, a == b)
		}
	}
	same("a name with two tokens", key("n", "t1", "192.0.2.1:1"), key("n", "t2", "192.0.2.2:1"), true)
	same("two names with the service's token", key("n", "t", "192.0.2.1:1"), key("m", "t", "192.0.2.1:1"), false)
	same("a token from two places", key("", "t", "192.0.2.1:1"), key("", "t", "192.0.2.2:1"), true)
	same("two tokens from one place", key("", "t1", "192.0.2.1:1"), key("", "t2", "192.0.2.1:1"), false)
	same("no token, two ports", key("", "", "192.0.2.1:1"), key("", "", "192.0.2.1:2"), true)
	same("no token, two addresses", key("", "", "192.0.2.1:1"), key("", "", "192.0.2.2:1"), false)
	same("an IPv4 address in IPv6", key("", "", "192.0.2.1:1"), key("", "", "[::ffff:192.0.2.1]:1"), true)
	same("two hosts' worth of one IPv6 network", key("", "", "[2001:db8::1]:1"), key("", "", "[2001:db8::2:1]:1"), true)
	same("two IPv6 networks", key("", "", "[2001:db8:0:1::1]:1"), key("", "", "[2001:db8:0:2::1]:1"), false)
	same("a zone", key("", "", "[fe80::1%eth0]:1"), key("", "", "[fe80::1%eth1]:1"), true)
	same("an address and none", key("", "", "@"), key("", "", "192.0.2.1:1"), false)
}

// TestForgottenCallers: who called last longest ago is forgotten when there are too many.
func TestForgottenCallers(t *testing.T) {
	l := newRateLimiter(0.5, cachetest.NewClock().Now)
	name := func(i int) callerKey { return callerKey{name: strconv.Itoa(i)} }
	for i := range maxRateCallers {
		l.take(name(i))
	}
	if l.take(name(0)) == 0 { // and called again
		t.Error("a caller was forgotten before there were too many")
	}
	l.take(name(maxRateCallers))
	if l.allowances.Len() != maxRateCallers {
		t.Errorf("%d callers are remembered", l.allowances.Len())
	}
	if l.take(name(0)) == 0 || l.take(name(2)) == 0 {
		t.Error("another than the longest ago was forgotten")
	}
	if l.take(name(1)) != 0 {
		t.Error("nobody was forgotten")
	}
}

// wantLimited checks an answer for a caller over the limit of 0.001 a second.
func wantLimited(t *testing.T, got reply) {
	t.Helper()
	if got.Status != http.StatusTooManyRequests || got.Codes() != "RATE_LIMITED" || got.Data != nil {
		t.Errorf("got %d %s", got.Status, got.Body)
		return
	}
	ext := got.Errors[0].Extensions
	if ext.RetryAfter < 900 || ext.RetryAfter > 1000 || got.Header.Get("Retry-After") != strconv.Itoa(ext.RetryAfter) {
		t.Errorf("retryAfter %d, Retry-After %q", ext.RetryAfter, got.Header.Get("Retry-After"))
	}
	if got.Errors[0].Message != "You send more requests than RATE_LIMIT allows, which is 0.001 a second." || ext.Limit != "RATE_LIMIT" {
		t.Errorf("the refusal does not say whose it is: %s", got.Body)
	}
	if ext.RequestID == "" || ext.RequestID != got.Header.Get("X-Request-Id") || ext.UpstreamStatus != 0 || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s %v", got.Body, got.Header)
	}
}

func TestRateLimit(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "RATE_LIMIT=0.001")
	for _, token := range []string{upstreamtest.TokenAlice, upstreamtest.TokenBob, ""} { // each for themselves
		if got := query(t, a.URL, token, aliceCode); got.Status != http.StatusOK {
			t.Errorf("the first of %q: %d %s", token, got.Status, got.Body)
		}
		wantLimited(t, query(t, a.URL, token, bobsCode))
	}
	if up.Retrieves(18) != 0 {
		t.Error("a request over the limit reached authentik")
	}
	for _, path := range []string{"/", "/healthz", "/readyz"} {
		if got := send(t, newRequest(t, http.MethodGet, a.URL+path, http.NoBody)); got.Status != http.StatusOK {
			t.Errorf("%s answers %d", path, got.Status)
		}
	}
	get := newRequest(t, http.MethodGet, a.URL+"/graphql?query={__typename}", http.NoBody)
	get.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
	wantLimited(t, send(t, get))
	get.Header.Set("Authorization", "Basic YTpi") // not usable: by address, as without a token
	wantLimited(t, send(t, get))
	<-a.Log.Contains(`"codes":["RATE_LIMITED"]`)
	if line := a.linesWith("status", 429.0)[0]; line["level"] != "INFO" || line["route"] != "/graphql" {
		t.Errorf("the line of a request over the limit: %v", line)
	}
}

func TestNoRateLimit(t *testing.T) {
	for _, setting := range []string{"RATE_LIMIT=", "RATE_LIMIT=0"} {
		_, a := newWorld(t, upstreamtest.Options{}, setting)
		for range 50 {
			if got := query(t, a.URL, "", `{ __typename }`); got.Status != http.StatusOK {
				t.Fatalf("%s: %d %s", setting, got.Status, got.Body)
			}
		}
	}
}

// TestRateLimitOfNamedCallers: a caller's tokens share one allowance, and so do all who have no name.
func TestRateLimitOfNamedCallers(t *testing.T) {
	files := newServiceFiles(t, upstreamtest.TokenRoot, callerOf("a", "old")+callerOf("a", "new")+callerOf("b", "b"))
	_, a := newWorld(t, upstreamtest.Options{}, files.settings("RATE_LIMIT=0.001")...)
	for _, token := range []string{"old", "b", "unknown-1"} {
		if got := query(t, a.URL, token, aliceCode); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", token, got.Status, got.Body)
		}
	}
	for _, token := range []string{"old", "new", "b", "unknown-1", "unknown-2", ""} {
		wantLimited(t, query(t, a.URL, token, aliceCode))
	}
	<-a.Log.Contains(`"codes":["RATE_LIMITED"]`)
	if line := a.linesWith("status", 429.0)[0]; line["caller"] != "a" {
		t.Errorf("the line of a request over the limit: %v", line)
	}
}

// TestRateLimitInBrowsers: preflights are free, and a page may read the refusal.
func TestRateLimitInBrowsers(t *testing.T) {
	const friend = "https://dash.example.com"
	_, closed := newWorld(t, upstreamtest.Options{}, "RATE_LIMIT=0.001")
	_, open := newWorld(t, upstreamtest.Options{}, "RATE_LIMIT=0.001", "ALLOWED_ORIGINS="+friend)
	for a, status := range map[*app]int{closed: http.StatusMethodNotAllowed, open: http.StatusNoContent} {
		for range 3 {
			preflight := newRequest(t, http.MethodOptions, a.URL+"/graphql", http.NoBody)
			preflight.Header.Set("Origin", friend)
			preflight.Header.Set("Access-Control-Request-Method", "POST")
			if got := send(t, preflight); got.Status != status {
				t.Errorf("preflight: %d, want %d", got.Status, status)
			}
		}
		if got := query(t, a.URL, "", `{ __typename }`); got.Status != http.StatusOK {
			t.Errorf("after preflights: %d %s", got.Status, got.Body)
		}
	}
	req := newQuery(t, open.URL, "", `{ __typename }`)
	req.Header.Set("Origin", friend)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	got := send(t, req)
	wantLimited(t, got)
	if got.Header.Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("a page may not read the refusal: %v", got.Header)
	}
}

// TestRateLimitReadsNoBody: a client that waits to be asked for its body is refused without it.
func TestRateLimitReadsNoBody(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{}, "RATE_LIMIT=0.001")
	if status, read := sendExpecting(t, a.URL, "application/json"); status != http.StatusOK || !read {
		t.Errorf("the first: %d, body sent %t", status, read)
	}
	if status, read := sendExpecting(t, a.URL, "application/json"); status != http.StatusTooManyRequests || read {
		t.Errorf("the second: %d, body sent %t", status, read)
	}
}

// TestAllowedIsFree: a caller who is known and within the limit costs no memory, but for a long token.
func TestAllowedIsFree(t *testing.T) {
	l := newRateLimiter(1e6, time.Now)
	for name, req := range rateRequests() {
		allow := func() {
			if l.take(l.keyOf(req, "[2001:db8::1]:12345")) != 0 {
				t.Fatal("refused")
			}
		}
		most := 0.0
		if name == "long" {
			most = 1 // a token that is longer than usual is copied to be hashed
		}
		if n := testing.AllocsPerRun(1000, allow); n > most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRateLimit(b *testing.B) {
	l := newRateLimiter(1e6, time.Now)
	for name, req := range rateRequests() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.take(l.keyOf(req, "[2001:db8::1]:12345"))
			}
		})
	}
}

func rateRequests() map[string]*graph.Request {
	return map[string]*graph.Request{
		"name":    {CallerName: "grafana", Caller: grants.Caller{Digest: cache.Caller{1}}},
		"token":   {Caller: grants.Caller{Digest: cache.Caller{1}}},
		"address": {},
	}
}

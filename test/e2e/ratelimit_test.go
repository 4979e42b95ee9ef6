package e2e

import (
	"net/http"
	"strconv"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// wantLimited checks the response to a caller over a limit of 0.001 a second.
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
	for _, token := range []string{upstreamtest.TokenAlice, upstreamtest.TokenBob, ""} { // each has its own allowance
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
	get.Header.Set("Authorization", "Basic YTpi") // not usable: limited by address, as without a token
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

// TestRateLimitOfNamedCallers: the tokens of a caller share one allowance, as do all unknown tokens.
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

// TestRateLimitInBrowsers: preflights do not count, and a page may read the refusal.
func TestRateLimitInBrowsers(t *testing.T) {
	const friend = "https://dash.example.com"
	_, closed := newWorld(t, upstreamtest.Options{}, "RATE_LIMIT=0.001")
	_, open := newWorld(t, upstreamtest.Options{}, "RATE_LIMIT=0.001", "ALLOWED_ORIGINS="+friend)
	for a, status := range map[*instance]int{closed: http.StatusMethodNotAllowed, open: http.StatusNoContent} {
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

// TestRateLimitReadsNoBody: a client that sends Expect: 100-continue is refused without its body.
func TestRateLimitReadsNoBody(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{}, "RATE_LIMIT=0.001")
	if status, read := sendExpecting(t, a.URL, "application/json"); status != http.StatusOK || !read {
		t.Errorf("the first: %d, body sent %t", status, read)
	}
	if status, read := sendExpecting(t, a.URL, "application/json"); status != http.StatusTooManyRequests || read {
		t.Errorf("the second: %d, body sent %t", status, read)
	}
}

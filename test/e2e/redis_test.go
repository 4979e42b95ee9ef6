package e2e

import (
	"testing"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// TestTwoProcessesShareRedis: with the same secret the second process answers the first one's code
// without asking authentik, to the same caller alone.
func TestTwoProcessesShareRedis(t *testing.T) {
	rs := cachetest.StartRedis(t)
	settings := []string{"REDIS_URL=" + rs.URL(), "CACHE_SECRET=" + testSecret, "CACHE_TTL=1h"}
	up, first := newWorld(t, upstreamtest.Options{}, settings...)
	same := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL)...)
	redacting := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL, "REDACT=User.username")...)

	ask := func(a *instance, token string, wantCalls int) reply {
		t.Helper()
		got := query(t, a.URL, token, aliceCode)
		if n := up.Retrieves(17); n != wantCalls {
			t.Errorf("%d calls, want %d; answer %s", n, wantCalls, got.Body)
		}
		return got
	}
	want := ask(first, upstreamtest.TokenAlice, 1)
	if got := ask(same, upstreamtest.TokenAlice, 1); string(got.Data) != string(want.Data) || got.Header.Get("Cache-Status")[:22] != "authentik-graphql; hit" {
		t.Errorf("the second process: %s %v", got.Body, got.Header)
	}
	if got := ask(same, upstreamtest.TokenBob, 2); got.Codes() != "NOT_FOUND" {
		t.Errorf("bob: %s", got.Body)
	}
	// Another set of redacted fields shares nothing.
	if got := ask(redacting, upstreamtest.TokenAlice, 3); string(got.Data) != `{"authorizationCode":{"id":"17","user":{"username":null}}}` {
		t.Errorf("redacting: %s", got.Body)
	}
}

// TestRedisDiesUnderLoad: losing Redis, however, costs no failed answer.
func TestRedisDiesUnderLoad(t *testing.T) {
	tests := []struct {
		name string
		lose func(*cachetest.RedisServer)
	}{
		{"killed", (*cachetest.RedisServer).Kill},
		{"stopped", (*cachetest.RedisServer).Stop},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rs := cachetest.StartRedis(t)
			_, a := newWorld(t, upstreamtest.Options{}, "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret, "CACHE_TTL=1ms")
			for i := range 30 {
				if i == 10 {
					tt.lose(rs)
				}
				if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
					t.Fatalf("request %d: %s", i, got.Body)
				}
			}
			<-a.Log.Contains("Redis cannot be used")
		})
	}
}

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

func TestBrowsersOfOtherOrigins(t *testing.T) {
	const friend, stranger = "https://dash.example.com", "https://evil.example.com"
	_, closed := newWorld(t, upstreamtest.Options{})
	_, open := newWorld(t, upstreamtest.Options{}, "ALLOWED_ORIGINS="+friend)
	tests := []struct {
		name    string
		app     *instance
		method  string
		header  map[string]string
		status  int
		allowed string // Access-Control-Allow-Origin
	}{
		{"friend's post", open, "POST", map[string]string{"Origin": friend, "Sec-Fetch-Site": "cross-site"}, 200, friend},
		{"stranger's post", open, "POST", map[string]string{"Origin": stranger, "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"post when no origin is allowed", closed, "POST", map[string]string{"Origin": friend, "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"own page's post", closed, "POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, ""},
		{"no browser's post", closed, "POST", nil, 200, ""},
		{"null origin", open, "POST", map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"friend's preflight", open, "OPTIONS", map[string]string{"Origin": friend, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,traceparent,tracestate"}, 204, friend},
		{"stranger's preflight", open, "OPTIONS", map[string]string{"Origin": stranger, "Access-Control-Request-Method": "POST"}, 204, ""},
		{"preflight of another header", open, "OPTIONS", map[string]string{"Origin": friend, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-evil"}, 204, ""},
		{"preflight when no origin is allowed", closed, "OPTIONS", map[string]string{"Origin": friend, "Access-Control-Request-Method": "POST"}, 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := newRequest(t, tt.method, tt.app.URL+"/graphql", strings.NewReader(`{"query":"{ __typename }"}`))
			req.Header.Set("Content-Type", "application/json")
			for name, value := range tt.header {
				req.Header.Set(name, value)
			}
			got := send(t, req)
			if got.Status != tt.status || got.Header.Get("Access-Control-Allow-Origin") != tt.allowed {
				t.Errorf("%d, Access-Control-Allow-Origin %q: %s", got.Status, got.Header.Get("Access-Control-Allow-Origin"), got.Body)
			}
			if got.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
			if tt.name == "friend's post" && !strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), "Retry-After") {
				t.Errorf("exposed: %q", got.Header.Get("Access-Control-Expose-Headers"))
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	_, bare := newWorld(t, upstreamtest.Options{}, "PLAYGROUND=false")
	tests := []struct {
		name, method, url string
		status            int
	}{
		{"alive", "GET", a.URL + "/healthz", 200},
		{"ready", "GET", a.URL + "/readyz", 200},
		{"alive, posted", "POST", a.URL + "/healthz", 405},
		{"playground", "GET", a.URL + "/", 200},
		{"playground off", "GET", bare.URL + "/", 404},
		{"unknown", "GET", a.URL + "/api/v3/", 404},
		{"below graphql", "GET", a.URL + "/graphql/", 404},
		{"metrics", "GET", a.URL + "/metrics", 404},
		{"pprof", "GET", a.URL + "/debug/pprof/", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, newRequest(t, tt.method, tt.url, http.NoBody))
			if got.Status != tt.status {
				t.Errorf("status %d, want %d", got.Status, tt.status)
			}
			if got.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("no nosniff")
			}
		})
	}
}

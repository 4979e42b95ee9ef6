package e2e

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
		{"post when nobody is allowed", closed, "POST", map[string]string{"Origin": friend, "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"own page's post", closed, "POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, ""},
		{"no browser's post", closed, "POST", nil, 200, ""},
		{"null origin", open, "POST", map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"friend's preflight", open, "OPTIONS", map[string]string{"Origin": friend, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,traceparent,tracestate"}, 204, friend},
		{"stranger's preflight", open, "OPTIONS", map[string]string{"Origin": stranger, "Access-Control-Request-Method": "POST"}, 204, ""},
		{"preflight of another header", open, "OPTIONS", map[string]string{"Origin": friend, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-evil"}, 204, ""},
		{"preflight when nobody is allowed", closed, "OPTIONS", map[string]string{"Origin": friend, "Access-Control-Request-Method": "POST"}, 405, ""},
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

// TestBodyOverTheLimitEndsTheConnection: the rest of it is not read.
func TestBodyOverTheLimitEndsTheConnection(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	req := newRequest(t, http.MethodPost, a.URL+"/graphql", strings.NewReader(`{"query":"`+strings.Repeat(" ", 100<<10)+`"}`))
	req.Header.Set("Content-Type", "application/json")
	got := send(t, req)
	if got.Status != http.StatusRequestEntityTooLarge || got.Codes() != "PAYLOAD_TOO_LARGE" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if !got.Closed {
		t.Error("the connection stays open")
	}
}

// TestUnwantedBodyIsNotAwaited: a client that waits to be asked for its body is refused at once.
func TestUnwantedBodyIsNotAwaited(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	for contentType, want := range map[string]int{"application/json": http.StatusOK, "text/plain": http.StatusUnsupportedMediaType} {
		if status, read := sendExpecting(t, a.URL, contentType); status != want || read != (want == http.StatusOK) {
			t.Errorf("%s: status %d, want %d; body sent %t", contentType, status, want, read)
		}
	}
}

// sendExpecting sends a query whose body waits to be asked for, and tells whether it was. The answer
// must come well before the server stops waiting for the body, which is after 10 seconds.
func sendExpecting(t *testing.T, url, contentType string) (status int, read bool) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	body := &watchedBody{Reader: strings.NewReader(`{"query":"{ __typename }"}`)}
	req := newRequest(t, http.MethodPost, url+"/graphql", body).WithContext(ctx)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Expect", "100-continue")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, body.read.Load()
}

// watchedBody tells whether it was read.
type watchedBody struct {
	io.Reader
	read atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.Reader.Read(p)
}

package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// fetch sends a GET request.
func fetch(t *testing.T, url string) reply {
	t.Helper()
	return send(t, newRequest(t, http.MethodGet, url, nil))
}

func TestAdminRoutes(t *testing.T) {
	a := startApp(t, []string{"-demo"})
	for _, tt := range []struct {
		name, method, url, body string
		status                  int
	}{
		{"metrics", http.MethodGet, a.Admin + "/metrics", "", http.StatusOK},
		{"health", http.MethodGet, a.Admin + "/healthz", "", http.StatusOK},
		{"readiness", http.MethodGet, a.Admin + "/readyz", "", http.StatusOK},
		{"no Playground", http.MethodGet, a.Admin + "/", "", http.StatusNotFound},
		{"no GraphQL", http.MethodPost, a.Admin + "/graphql", "", http.StatusNotFound},
		{"no profiles", http.MethodGet, a.Admin + "/debug/pprof/", "", http.StatusNotFound},
		{"no profile", http.MethodGet, a.Admin + "/debug/pprof/heap", "", http.StatusNotFound},
		{"no profiles where clients come", http.MethodGet, a.URL + "/debug/pprof/", "", http.StatusNotFound},
		{"below", http.MethodGet, a.Admin + "/metrics/more", "", http.StatusNotFound},
		{"another method", http.MethodPost, a.Admin + "/metrics", "", http.StatusMethodNotAllowed},
		{"a body", http.MethodGet, a.Admin + "/metrics", "x", http.StatusRequestEntityTooLarge},
		{"not where clients come", http.MethodGet, a.URL + "/metrics", "", http.StatusNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, newRequest(t, tt.method, tt.url, strings.NewReader(tt.body)))
			if got.Status != tt.status || got.Closed != (tt.body != "") {
				t.Errorf("got %d, closed %t", got.Status, got.Closed)
			}
			if metrics := strings.Contains(string(got.Body), "authentik_graphql_"); metrics != (tt.name == "metrics") {
				t.Errorf("with metrics: %t", metrics)
			}
		})
	}
}

// TestAdminProfiles: profiles are on the admin listener only, and go tool pprof can read them. A profile may
// take longer than other responses.
func TestAdminProfiles(t *testing.T) {
	a := openDirect(t, "ADMIN_PPROF=true")
	admin, public := httptest.NewUnstartedServer(a.service.AdminHandler()), httptest.NewServer(a.handler)
	admin.Config.WriteTimeout = 100 * time.Millisecond
	admin.Start()
	t.Cleanup(func() { admin.Close(); public.Close() })
	for _, tt := range []struct {
		name, url, want string
	}{
		{"the list", admin.URL + "/debug/pprof/", "goroutine"},
		{"a text", admin.URL + "/debug/pprof/goroutine?debug=1", "goroutine profile: "},
		{"the heap", admin.URL + "/debug/pprof/heap", "inuse_space"},
		{"CPU for a second", admin.URL + "/debug/pprof/profile?seconds=1", "cpu"},
		{"a trace", admin.URL + "/debug/pprof/trace?seconds=0.2", "go 1."},
		{"the heap's growth", admin.URL + "/debug/pprof/allocs?seconds=1", "alloc_space"},
		{"not where clients come", public.URL + "/debug/pprof/heap", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := fetch(t, tt.url)
			text := got.Body
			if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
				r, err := gzip.NewReader(bytes.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				if text, err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			}
			if found := got.Status == http.StatusOK; found != (tt.want != "") || !strings.Contains(string(text), tt.want) {
				t.Errorf("%d, %d bytes without %q", got.Status, len(text), tt.want)
			}
		})
	}
}

// TestAdminOff: without an admin listener the service does everything else.
func TestAdminOff(t *testing.T) {
	a := startApp(t, []string{"-demo"}, "ADMIN_ADDR=off")
	if a.Admin != "http://off" {
		t.Errorf("it listens on %s", a.Admin)
	}
	if got := query(t, a.URL, "demo-alice", `{ authorizationCode(id: 17) { id } }`); len(got.Errors) > 0 {
		t.Errorf("got %s", got.Body)
	}
}

// TestAdminStopsLast: the admin listener answers until the last request has been.
func TestAdminStopsLast(t *testing.T) {
	a, goOn, answered := startDraining(t)
	if got := fetch(t, a.Admin+"/readyz"); got.Status != http.StatusServiceUnavailable || !strings.Contains(string(got.Body), `"state": "draining"`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := a.scrape(t); got["draining"] != 1 || got["upstream_running"] != 1 {
		t.Errorf("draining is %v, calls run %v", got["draining"], got["upstream_running"])
	}
	goOn()
	<-answered
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if resp, err := http.Get(a.Admin + "/healthz"); err == nil { //nolint:noctx // must fail
		_ = resp.Body.Close()
		t.Error("the admin listener still answers")
	}
}

// TestTwoServicesShareNoMetrics: two services in one process count their own requests.
func TestTwoServicesShareNoMetrics(t *testing.T) {
	_, one := newWorld(t, upstreamtest.Options{})
	_, two := newWorld(t, upstreamtest.Options{})
	query(t, one.URL, upstreamtest.TokenAlice, aliceCode)
	<-one.Log.Contains(`"msg":"request"`) // it is counted before
	const series = `requests_total{outcome="ok",type="query"}`
	if a, b := one.scrape(t)[series], two.scrape(t)[series]; a != 1 || b != 0 {
		t.Errorf("they count %v and %v", a, b)
	}
}

package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"authentik-graphql/internal/app"
)

// healthcheck runs the program's check and returns its exit code and what it says.
func healthcheck(t *testing.T, environ ...string) (exit int, stderr string) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), []string{"-healthcheck"}, environ, io.Discard, &out)
	return app.ExitCode(err, &out), out.String()
}

func TestHealthcheck(t *testing.T) {
	a := startApp(t, []string{"-demo"})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(a.URL, "http://"))
	for name, environ := range map[string][]string{
		"its address":          {"LISTEN_ADDR=127.0.0.1:" + port},
		"a name":               {"LISTEN_ADDR=localhost:" + port},
		"every interface":      {"LISTEN_ADDR=:" + port},
		"every IPv4 interface": {"LISTEN_ADDR=0.0.0.0:" + port},
		"every IPv6 interface": {"LISTEN_ADDR=[::]:" + port},
		"the last of two":      {"LISTEN_ADDR=x", "LISTEN_ADDR=:" + port},
		"nothing else is read": {"LISTEN_ADDR=:" + port, "AUTHENTIK_URL=x", "CACHE_SECRET_FILE=testdata/none", "CACHE_TTL=x"},
	} {
		t.Run(name, func(t *testing.T) {
			if exit, stderr := healthcheck(t, environ...); exit != 0 || stderr != "" {
				t.Errorf("exit code %d: %s", exit, stderr)
			}
		})
	}
}

// TestHealthcheckFails: every failure is one line and the exit code 1, the only one there is for it.
func TestHealthcheckFails(t *testing.T) {
	healthy := startApp(t, []string{"-demo"})
	answers := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.Listener.Addr().String()
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for _, tt := range []struct{ name, addr, want string }{
		{"nobody listens", "127.0.0.1:1", "unhealthy: dial tcp 127.0.0.1:1: "},
		{"another status", answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), " answers /healthz with status 503"},
		{"a redirect to what is healthy", answers(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, healthy.URL+"/healthz", http.StatusFound)
		}), " answers /healthz with status 302"},
		{"silence", silent.Addr().String(), " does not answer within 2s"},
		{"no address", "8080", "unhealthy: LISTEN_ADDR is not host:port; for example "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exit, stderr := healthcheck(t, "LISTEN_ADDR="+tt.addr)
			if exit != 1 || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d: %s", exit, stderr)
			}
		})
	}
}

package httpserver

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/telemetry"
	"authentik-graphql/upstream"
)

// newTestServer makes a Server with a GraphQL endpoint, which logs to log.
func newTestServer(t *testing.T, endpoint http.HandlerFunc, log io.Writer) *Server {
	t.Helper()
	s, err := New(Options{
		GraphQL: endpoint, Metrics: telemetry.NewMetrics("test"), Digester: upstream.NewDigester([]byte("key")),
		MaxBody: 1 << 10, OperationTimeout: time.Second, Log: slog.New(slog.NewJSONHandler(log, nil)), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPanicInMiddleware checks that a panic outside of an operation is answered and logged like any error.
func TestPanicInMiddleware(t *testing.T) {
	var log bytes.Buffer
	s := newTestServer(t, func(http.ResponseWriter, *http.Request) { panic("oops") }, &log)
	r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader("{}"))
	r.Header.Set("X-Request-ID", "mine")
	got := httptest.NewRecorder()
	s.Handler().ServeHTTP(got, r)
	if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), `"requestId":"mine"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	last := lines[len(lines)-1]
	if !strings.Contains(lines[0], `"msg":"panic"`) || !strings.Contains(last, `"level":"ERROR"`) || !strings.Contains(last, `"route":"/graphql"`) || !strings.Contains(last, `"codes":["INTERNAL_SERVER_ERROR"]`) {
		t.Errorf("%s", log.String())
	}
}

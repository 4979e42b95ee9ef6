package upstream_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/upstream"
)

// TestForeignAnswersAreLogged logs answers that authentik's API does not give with what to look at: once for many,
// and nothing of their text.
func TestForeignAnswersAreLogged(t *testing.T) {
	for _, tt := range []struct {
		name, mime, body string
		status           int
		hint             string // "" for none
	}{
		{"a TLS port asked by http", "text/plain", "Client sent an HTTP request to an HTTPS server. TELLTALE", 400, "scheme, host and port of AUTHENTIK_URL"},
		{"a host that is not allowed", "text/html", "<h1>Bad Request (400) TELLTALE</h1>", 400, "which hosts a proxy accepts"},
		{"a proxy that asks for a password", "text/html", "<h1>TELLTALE</h1>", 401, "credentials of its own"},
		{"a firewall", "application/json", `{"message":"TELLTALE"}`, 403, "firewall"},
		{"a page", "text/html", "<h1>TELLTALE</h1>", 200, "AUTHENTIK_URL"},
		{"authentik's 403", "application/json", `{"detail":"TELLTALE"}`, 403, ""},
		{"authentik's 400", "application/json", `{"user":["TELLTALE"]}`, 400, ""},
		{"a failure", "text/html", "<h1>TELLTALE</h1>", 500, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.mime)
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			var log bytes.Buffer
			c := client(t, server.URL, func(o *upstream.Options) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
			for range 3 {
				if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err == nil {
					t.Fatal("no error")
				}
				_, _ = c.Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
			}
			lines, want := strings.Count(log.String(), "\n"), 0
			if tt.hint != "" {
				want = 1
			}
			if lines != want || !strings.Contains(log.String(), tt.hint) || strings.Contains(log.String(), "TELLTALE") ||
				want == 1 && !strings.Contains(log.String(), `"level":"WARN"`) {
				t.Errorf("logged %s", &log)
			}
		})
	}
}

// TestForeignAnswersAreCounted checks that a thousand answers a second, of two statuses, are two lines a minute, which
// say how many there were.
func TestForeignAnswersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := client(t, "http://127.0.0.1:1", func(o *upstream.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		forbidden := upstream.Classify(http.StatusForbidden, http.Header{}, nil)
		unauthorized := upstream.Classify(http.StatusUnauthorized, http.Header{}, nil)
		wrapped := fmt.Errorf("read a page: %w", unauthorized)
		for range 119_000 { // in two minutes less a second
			time.Sleep(time.Millisecond)
			c.NoteForeign(forbidden)
			c.NoteForeign(wrapped)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		want := []string{"status=403 | answers=1", "status=401 | answers=1", "status=403 | answers=60000", "status=401 | answers=60000"}
		if len(lines) != len(want) {
			t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), &log)
		}
		for i, line := range lines {
			status, answers, _ := strings.Cut(want[i], " | ")
			if !strings.Contains(line, status+" ") || !strings.HasSuffix(line, " "+answers) {
				t.Errorf("got %s, want %s", line, want[i])
			}
		}
	})
}

package httpserver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestServerLog checks that connections which cannot be accepted are reported once in a while, and that all else
// net/http says of connections is for debugging.
func TestServerLog(t *testing.T) {
	var out bytes.Buffer
	log := newServerLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for range 3 {
		log.Printf("http: Accept error: accept tcp 127.0.0.1:8080: accept4: too many open files; retrying in 5ms")
	}
	log.Printf("http: TLS handshake error from 127.0.0.1:1")
	got := out.String()
	if strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "too many open files") || strings.Count(got, "level=DEBUG") != 1 {
		t.Errorf("%s", got)
	}
}

// TestFewFiles checks that a limit of open files below what is needed is reported.
func TestFewFiles(t *testing.T) {
	for connections, want := range map[int]bool{1: false, 1 << 40: true} {
		var out bytes.Buffer
		warnOfFewFiles(slog.New(slog.NewTextHandler(&out, nil)), connections, 0)
		if got := strings.Contains(out.String(), "level=WARN"); got != want {
			t.Errorf("%d connections: %s", connections, out.String())
		}
	}
}

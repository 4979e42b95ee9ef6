package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/internal/config"
	"authentik-graphql/internal/envvalue"
	"authentik-graphql/upstream/upstreamtest"
)

// TestServerLog: that connections cannot be taken is told, once in a while; all else that net/http says of
// them is for debugging.
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

// TestFewFiles: a limit of open files that the settings exceed is told at the start.
func TestFewFiles(t *testing.T) {
	for connections, want := range map[envvalue.Count]bool{1: false, 1 << 40: true} {
		var out bytes.Buffer
		checkFiles(slog.New(slog.NewTextHandler(&out, nil)), config.Config{LimitSettings: config.LimitSettings{MaxConnections: connections}})
		if got := strings.Contains(out.String(), "level=WARN"); got != want {
			t.Errorf("%d connections: %s", connections, out.String())
		}
	}
}

// TestAdminIsNotFilled: connections that carry nothing keep nobody's probe out.
func TestAdminIsNotFilled(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	addr := strings.TrimPrefix(a.Admin, "http://")
	for range adminConnections + spareConnections/2 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if got := fetch(t, a.Admin+"/healthz"); got.Status != http.StatusOK {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
}

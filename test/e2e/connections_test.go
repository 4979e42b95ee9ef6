package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// TestAdminIsNotFilled: connections that carry nothing keep nobody's probe out.
func TestAdminIsNotFilled(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	addr := strings.TrimPrefix(a.Admin, "http://")
	for range 16 + 64/2 {
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

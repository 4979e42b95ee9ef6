package upstream_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream"
)

// TestSwitchingProtocols checks that an answer which hands the connection over is refused, and gives its
// turn back: reads of such a connection would not end with the call.
func TestSwitchingProtocols(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: none\r\n\r\n"))
	}))
	defer server.Close()
	c := client(t, server.URL)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		ended <- err
	}()
	select {
	case err := <-ended:
		wantKind(t, err, upstream.InvalidResponse)
	case <-time.After(20 * time.Second):
		t.Fatal("the call does not end")
	}
	if running := c.Stats().Running; running != 0 {
		t.Errorf("%d calls are running", running)
	}
}

// TestUnusableListsAreCheap checks that long lists of a wrong form take little memory beside the answer.
func TestUnusableListsAreCheap(t *testing.T) {
	const size = 1 << 20
	for _, field := range []string{"groups_obj", "roles_obj", "groups", "roles", "redirect_uris", "scope", "results"} {
		for _, element := range []string{"0", "{}"} {
			if field == "redirect_uris" && element == "{}" {
				continue // which is an entry without anything known of it
			}
			t.Run(field+" "+element, func(t *testing.T) {
				list := "[" + strings.Repeat(element+",", size/(len(element)+1)) + element + "]"
				body := `{"pk":1,"provider":{"pk":1,"redirect_uris":[]},"user":{"pk":1,"FIELD":LIST},"scope":[]}`
				switch field {
				case "redirect_uris":
					body = `{"pk":1,"provider":{"pk":1,"FIELD":LIST},"user":{"pk":1}}`
				case "scope":
					body = `{"pk":1,"provider":{"pk":1},"user":{"pk":1},"FIELD":LIST}`
				case "results":
					body = `{"pagination":{"count":1,"start_index":1,"end_index":1,"current":1,"total_pages":1},"FIELD":LIST}`
				}
				body = strings.NewReplacer("FIELD", field, "LIST", list).Replace(body)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				var dropped []string
				var err error
				if field == "results" {
					_, _, err = upstream.DecodePage([]byte(body), time.Now())
				} else {
					_, dropped, err = upstream.DecodeGrant([]byte(body), time.Now())
				}
				runtime.ReadMemStats(&after)
				if took := after.TotalAlloc - before.TotalAlloc; took > 6*size {
					t.Errorf("%d KiB were allocated for an answer of %d KiB", took>>10, len(body)>>10)
				}
				if (err != nil) != (field == "results") || len(dropped) > 2 {
					t.Errorf("%d fields were dropped, %v", len(dropped), err)
				}
			})
		}
	}
}

package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// TestProxyPages: of pages that a proxy gives in place of authentik, a 400 is covered by a stale value, and a 401
// or 403 ends what is stale for the caller. Fresh values stand.
func TestProxyPages(t *testing.T) {
	page := func(status int) upstreamtest.Fault {
		return upstreamtest.Fault{Name: "a page", Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>no</html>")
		}}
	}
	for _, tt := range []struct {
		name   string
		status int
		stale  bool
	}{
		{"400", http.StatusBadRequest, true},
		{"401", http.StatusUnauthorized, false},
		{"403", http.StatusForbidden, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openDirect(t, "CACHE_STALE_WHILE_REVALIDATE=0s")
			d.up.AddCode(upstreamtest.Code{PK: 3, Owner: upstreamtest.UserBob, Expires: d.clock.Now().Add(time.Hour)})
			const query = `{"query":"{ authorizationCode(id: 3) { id } }"}`
			expect := func(when, want string) {
				t.Helper()
				if got, _ := d.ask(query); !strings.Contains(got.Body.String(), want) {
					t.Errorf("%s: got %s, want %s", when, got.Body, want)
				}
			}
			expect("at first", `{"data":{"authorizationCode":{"id":"3"}}}`)
			d.up.SetFault(3, page(tt.status))
			d.clock.Advance(4 * time.Second)
			expect("fresh", `{"data":{"authorizationCode":{"id":"3"}}}`)
			d.clock.Advance(2 * time.Second)
			if tt.stale {
				expect("no longer fresh", `"status":"STALE"`)
			} else {
				expect("no longer fresh", `"code":"UPSTREAM_INVALID_RESPONSE"`)
				d.up.SetFault(3, upstreamtest.Starting503JSON)
				d.clock.Advance(2 * time.Second)
				expect("after the page", `"code":"UPSTREAM_UNAVAILABLE"`)
			}
			d.up.ClearFaults()
			d.clock.Advance(2 * time.Second)
			expect("in the end", `{"data":{"authorizationCode":{"id":"3"}}}`)
		})
	}
}

// TestUnreadyAuthentikAnswersAtOnce: the router of 2026.8 asks for five seconds, for which no caller waits.
func TestUnreadyAuthentikAnswersAtOnce(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{Release: upstreamtest.R2026_8}, "CACHE_TTL=0s")
	up.SetFault(17, upstreamtest.Starting503JSON)
	got := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCode(id: 17) { id } }`)
	if got.Codes() != "UPSTREAM_UNAVAILABLE" || got.Errors[0].Extensions.RetryAfter != 5 {
		t.Errorf("got %s", got.Body)
	}
	if n := up.Retrieves(17); n != 1 {
		t.Errorf("%d calls", n)
	}
}

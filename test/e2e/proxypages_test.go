package e2e

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// says is an answer by status, content type and body; headers are pairs of name and value.
func says(status int, contentType, body string, headers ...string) upstreamtest.Fault {
	return upstreamtest.Fault{Name: "an answer", Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}}
}

// proxyPage is a page of a proxy's own in place of authentik's answer.
func proxyPage(status int) upstreamtest.Fault { return says(status, "text/html", "<html>no</html>") }

// compressed is authentik's answer as a proxy sends it that compresses what nobody asked it to.
func compressed(coding string, pack func(io.Writer) io.WriteCloser) upstreamtest.Fault {
	return upstreamtest.Fault{Name: coding, Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		got := httptest.NewRecorder()
		next.ServeHTTP(got, r)
		maps.Copy(w.Header(), got.Header())
		w.Header().Set("Content-Encoding", coding)
		w.Header().Del("Content-Length")
		w.WriteHeader(got.Code)
		packed := pack(w)
		_, _ = packed.Write(got.Body.Bytes())
		_ = packed.Close()
	}}
}

// TestCompressedAnswers: answers and refusals in gzip and deflate are read like others.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]upstreamtest.Fault{
		"gzip":    compressed("gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"deflate": compressed("deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }),
		"deflate without zlib": compressed("deflate", func(w io.Writer) io.WriteCloser {
			packed, _ := flate.NewWriter(w, flate.DefaultCompression) // fails only for a level that there is not
			return packed
		}),
	} {
		t.Run(name, func(t *testing.T) {
			up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=0s")
			up.SetFault(upstreamtest.AllRequests, fault)
			if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 || !strings.Contains(string(got.Data), `"17"`) {
				t.Errorf("a code: %s", got.Body)
			}
			if got := query(t, a.URL, upstreamtest.TokenRoot, `{ authorizationCodes(first: 100) { totalCount edges { node { id user { username } } } } }`); len(got.Errors) > 0 {
				t.Errorf("a list: %s", got.Body)
			}
			if got := query(t, a.URL, upstreamtest.TokenBob, aliceCode); got.Codes() != "NOT_FOUND" {
				t.Errorf("another's: %s", got.Body)
			}
			if got := query(t, a.URL, "nobody", aliceCode); got.Codes() != "UNAUTHENTICATED" {
				t.Errorf("a token that is none: %s", got.Body)
			}
			if got := revokeCode(t, a, upstreamtest.TokenDave, davesCode(up)); len(got.Errors) > 0 {
				t.Errorf("a revocation: %s", got.Body)
			}
		})
	}
}

// TestProxyPages: of pages that a proxy gives in place of authentik, a 400 is covered by a stale value, and a 401
// or 403 ends what is stale for the caller. Fresh values stand.
func TestProxyPages(t *testing.T) {
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
			d.up.SetFault(3, proxyPage(tt.status))
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

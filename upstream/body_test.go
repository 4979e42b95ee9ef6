package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// begins answers with the first bytes of a body of that length, -1 for chunks without an end, and then
// sends nothing until the client disconnects.
func begins(w http.ResponseWriter, r *http.Request, status, length int, mime, first string) {
	w.Header().Set("Content-Type", mime)
	if length >= 0 {
		w.Header().Set("Content-Length", strconv.Itoa(length))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, first)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// TestBodiesAtOnce checks that large bodies which arrive at once take one buffer of the cap each, and none when
// they are gone; TestLargeBodiesWait, that the buffers in use are bounded. It counts all allocations, so that
// it does not matter when the collector runs: for each call that buffer, and the beginning of a body several
// times, as it grows and for the rest of the call and for the server. A buffer that grew to the cap would be
// 10 MiB for each call.
func TestBodiesAtOnce(t *testing.T) {
	const calls = 64
	const most = calls * (8*upstream.SmallBody + upstream.MaxBody)
	fake, server := authentik(t, upstreamtest.Options{})
	fake.SetFault(pk, upstreamtest.Huge(256<<20))
	c := client(t, server.URL)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var running sync.WaitGroup
	for range calls {
		running.Go(func() {
			_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if e := wantKind(t, err, upstream.InvalidResponse); !strings.Contains(e.Error(), "size cap") {
				t.Errorf("got %v", e)
			}
		})
	}
	running.Wait()
	runtime.ReadMemStats(&after)
	took := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d KiB in all, %d KiB a call", took>>10, took>>10/calls)
	if took > most {
		t.Errorf("%d MiB were allocated, want at most %d", took>>20, most>>20)
	}
	if nothing, _ := c.LargeBodies(); !nothing {
		t.Error("bodies that are gone still count")
	}
}

// TestOnlyTheBeginning checks that of an answer that cannot be a grant only the beginning is awaited, and
// nothing of a body that is announced to be over the cap. The servers here send no more than that.
func TestOnlyTheBeginning(t *testing.T) {
	const js, html, plain = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"
	filled := func(s string) string { return s + strings.Repeat(" ", upstream.SmallBody-len(s)) }
	for _, tc := range []struct {
		name        string
		status      int
		mime, first string
		want        upstream.Kind
		cause       string
	}{
		{"page", 200, html, filled("<!DOCTYPE html>"), upstream.InvalidResponse, "not JSON"},
		{"code labelled text", 200, plain, filled(body), upstream.InvalidResponse, "not JSON"},
		{"starting, 200", 200, plain, filled(`{"error":"authentik starting"}`), upstream.Unavailable, "starting"},
		{"starting, 502", 502, js, filled(`{"error":"failed to connect to authentik backend: authentik starting"}`), upstream.Unavailable, "starting"},
		{"starting, 503", 503, plain, filled("authentik starting"), upstream.Unavailable, "starting"},
		{"JSON with 500", 500, js, filled(`{"detail":"`), upstream.Failed, ""},
		{"JSON with 400", 400, js, filled(`{"user":["`), upstream.InvalidResponse, "400"},
		{"bad token", 403, js, filled(`{"detail":"Token invalid/expired","filler":"`), upstream.InvalidResponse, "403"},
		{"JSON with 404", 404, js, filled(`{"detail":"`), upstream.InvalidResponse, "AUTHENTIK_URL"},
	} {
		for how, length := range map[string]int{"announced": 5 << 20, "in chunks": -1} {
			t.Run(tc.name+", "+how, func(t *testing.T) {
				gone := make(chan struct{}, 3)
				server := serve(t, func(w http.ResponseWriter, r *http.Request) {
					begins(w, r, tc.status, length, tc.mime, tc.first)
					gone <- struct{}{}
				})
				_, err := client(t, server.URL).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
				if e := wantKind(t, err, tc.want); e.Status != tc.status || !strings.Contains(e.Error(), tc.cause) {
					t.Errorf("got %v", e)
				}
				<-gone // the connection was closed without the rest
			})
		}
	}
	t.Run("a code over the cap, announced", func(t *testing.T) {
		base := rawServer(t, func(_ int, conn *net.TCPConn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", upstream.MaxBody+1)
			_, _ = r.ReadByte() // until the client disconnects
		})
		_, err := client(t, base).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		if e := wantKind(t, err, upstream.InvalidResponse); !strings.Contains(e.Error(), "size cap") {
			t.Errorf("got %v", e)
		}
	})
}

// TestLargeBodiesWait checks that bodies which use up the budget hold up further large ones, until their own
// deadline, but no ordinary ones. The budget is whole again when their callers leave.
func TestLargeBodiesWait(t *testing.T) {
	const ordinary = pk + 1
	for how, length := range map[string]int{"announced": upstream.MaxBody, "in chunks": -1} {
		t.Run(how, func(t *testing.T) {
			var gone sync.WaitGroup
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, fmt.Sprintf("/%d/", ordinary)) {
					answer(w, strings.Replace(body, `"pk":17`, `"pk":18`, 1))
					return
				}
				gone.Add(1)
				defer gone.Done()
				begins(w, r, http.StatusOK, length, "application/json", strings.Repeat(" ", upstream.SmallBody+1))
			})
			c := client(t, server.URL)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			var running sync.WaitGroup
			for range 8 { // four use up the budget, and four wait
				running.Go(func() {
					_, err := c.Retrieve(ctx, alice, upstream.AuthorizationCodes, pk)
					if e := wantKind(t, err, upstream.Timeout); !errors.Is(e, context.Canceled) {
						t.Errorf("the cause is %v", e.Err)
					}
				})
			}
			start := time.Now()
			for all := false; !all; _, all = c.LargeBodies() {
				if time.Since(start) > unhurried {
					t.Fatal("large bodies never took all there is")
				}
				runtime.Gosched()
			}

			hasty, cancel := context.WithTimeout(t.Context(), hurried)
			defer cancel()
			_, err := c.Retrieve(hasty, alice, upstream.AuthorizationCodes, pk)
			if e := wantKind(t, err, upstream.Timeout); !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("the cause is %v", e.Err)
			}
			if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, ordinary); err != nil {
				t.Errorf("an ordinary code: %v", err)
			}

			leave()
			running.Wait()
			if nothing, _ := c.LargeBodies(); !nothing {
				t.Error("bodies that are gone still count")
			}
			gone.Wait() // all connections are closed
		})
	}
}

// TestSlowLargeBodies checks that slow bodies end with the deadline and release their budget.
func TestSlowLargeBodies(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.Repeat(" ", upstream.SmallBody))
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			<-tick.C
		}
	})
	c := client(t, server.URL, timeout(hurried))
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if e := wantKind(t, err, upstream.Timeout); !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("the cause is %v", e.Err)
			}
		})
	}
	running.Wait()
	if nothing, _ := c.LargeBodies(); !nothing {
		t.Error("bodies that are gone still count")
	}
}

// TestLargeBodiesGiveBack checks that a large body releases its budget with the end of its call.
func TestLargeBodiesGiveBack(t *testing.T) {
	padding := strings.Repeat(" ", upstream.SmallBody)
	for name, text := range map[string]string{
		"code": body, "another row": minimal, "not JSON": "{", "not a code": "{}", "starting": `{"error":"authentik starting"}`,
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					if !chunked {
						w.Header().Set("Content-Length", strconv.Itoa(len(padding+text)))
					}
					answer(w, padding+text)
				})
				c := client(t, server.URL)
				_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
				if (err == nil) != (text == body) {
					t.Errorf("got %v", err)
				}
				if nothing, _ := c.LargeBodies(); !nothing {
					t.Error("the body still counts")
				}
			})
		}
	}
}

// TestDecodedSharesNothing checks that a value survives the reuse of the buffer of its body.
func TestDecodedSharesNothing(t *testing.T) {
	for _, release := range recordedReleases(t) {
		for name, row := range recordedGrants(t, release) {
			text := bytes.Clone(row)
			code, _, err := upstream.DecodeGrant(text, sent)
			if err != nil {
				t.Fatal(err)
			}
			before := upstream.EncodeGrant(code)
			for i := range text {
				text[i] = 'x'
			}
			if after := upstream.EncodeGrant(code); !bytes.Equal(before, after) {
				t.Errorf("%s %s changed with its body:\n%s\n%s", release, name, before, after)
			}
		}
	}
}

// TestLargeAnswerIsLetGo checks that a grant of a large answer or page does not keep all of it in memory.
func TestLargeAnswerIsLetGo(t *testing.T) {
	const size = 3 << 20
	large := with("user", `"unknown":"`+strings.Repeat("x", size)+`","name":"somebody"`)
	for name, decode := range map[string]func() any{
		"a grant": func() any {
			g, _, err := upstream.DecodeGrant([]byte(large), sent)
			if err != nil {
				t.Fatal(err)
			}
			return g
		},
		"a page": func() any {
			p, _, err := upstream.DecodePage([]byte(`{"pagination":{"count":1,"start_index":1,"end_index":1,"current":1,"total_pages":1},"results":[`+large+`]}`), sent)
			if err != nil {
				t.Fatal(err)
			}
			return p.Rows[0]
		},
	} {
		before := liveBytes()
		kept := decode()
		if more := liveBytes() - before; more > size/4 {
			t.Errorf("%s keeps %d bytes", name, more)
		}
		runtime.KeepAlive(kept)
	}
}

// liveBytes is what is reachable.
func liveBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

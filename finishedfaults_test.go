package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// gone is a client that leaves while it is answered.
type gone struct {
	http.ResponseWriter
	left int // bytes that it still takes
}

func (w *gone) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errors.New("the client is gone")
	}
	return w.ResponseWriter.Write(b)
}

const allCodes = `{"query":"{ authorizationCodes(first: 80) { nodes { id scope user { username email } provider { name } } } }"}`

// addLarge adds codes of which a list is long even when it is compressed.
func addLarge(up *fake, expires time.Time, size int) {
	random := rand.NewChaCha8([32]byte{})
	for pk := range int32(80) {
		scope := make([]byte, size)
		_, _ = random.Read(scope)
		up.AddCode(upstreamtest.Code{PK: pk + 10, Owner: upstreamtest.UserAlice, Expires: expires, Scope: []string{fmt.Sprintf("%x", scope)}})
	}
}

// TestCutAnswerIsNotKept: a client that leaves while it gets a compressed answer leaves no half of it
// to the next.
func TestCutAnswerIsNotKept(t *testing.T) {
	for _, taken := range []int{0, 100, 20_000} {
		a := newAsker(t)
		addLarge(a.up, a.clock.Now().Add(time.Minute), 1000)
		a.ask(allCodes)
		first, _ := a.ask(allCodes)
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(allCodes))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
		r.Header.Set("Accept-Encoding", "gzip")
		a.handler.ServeHTTP(&gone{httptest.NewRecorder(), taken}, r)
		got, _ := a.ask(allCodes, "Accept-Encoding: gzip")
		if got.Header().Get("Content-Encoding") != "gzip" || !bytes.Equal(unzip(t, got.Body.Bytes()), first.Body.Bytes()) {
			t.Errorf("after a client that took %d bytes: %v", taken, got.Header())
		}
	}
}

// TestAllowanceIsTakenOnce: a request counts once, wherever a finished answer is looked for.
func TestAllowanceIsTakenOnce(t *testing.T) {
	for _, origins := range []string{"", "https://dash.example.com"} {
		a := newAsker(t, "RATE_LIMIT=5", "ALLOWED_ORIGINS="+origins)
		passed := 0
		for range 20 {
			if got, _ := a.ask(fmt.Sprintf(twoOperations, "A", "1")); got.Code == http.StatusOK {
				passed++
			}
		}
		if passed != 10 {
			t.Errorf("ALLOWED_ORIGINS=%s: %d requests of a burst of 10 pass", origins, passed)
		}
	}
}

// TestPanicBeforeRouting: where a finished answer is looked for, a panic is answered and logged as
// anywhere.
func TestPanicBeforeRouting(t *testing.T) {
	a := newAsker(t)
	log := newBuffer()
	a.service.log = slog.New(slog.NewJSONHandler(log, nil))
	a.service.finished.now = func() time.Time { panic("oops") }
	got, _ := a.ask(fmt.Sprintf(twoOperations, "A", "1"), "X-Request-ID: mine")
	if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), `"requestId":"mine"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	lines := log.Lines()
	line := lines[len(lines)-1]
	if line["level"] != "ERROR" || line["route"] != "/graphql" || fmt.Sprint(line["codes"]) != "[INTERNAL_SERVER_ERROR]" {
		t.Errorf("%v", line)
	}
}

// TestFinishedTakesWhatItWeighs: a small answer does not keep the memory that was taken for it because
// the last one was large, compressed or not.
func TestFinishedTakesWhatItWeighs(t *testing.T) {
	const page = `{"query":"query($first: Int) { authorizationCodes(first: $first) { nodes { id scope } } }","variables":{"first":%d}}`
	for _, coding := range []string{"identity", "gzip"} {
		a := newAsker(t)
		addLarge(a.up, a.clock.Now().Add(time.Minute), 100)
		inner, most := a.service.graphql, 0.0
		a.service.graphql = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, r)
			if kept := r.Context().Value(exchangeKey{}).(*exchange).req.Replayed(); kept != nil {
				most = max(most, float64(cap(kept.Body))/float64(len(kept.Body)))
			}
		})
		a.handler = a.service.routes()
		for _, first := range []int{80, 80, 80, 1, 1, 1, 30, 30, 30} {
			a.ask(fmt.Sprintf(page, first), "Accept-Encoding: "+coding)
		}
		if most == 0 || most > 1.5 {
			t.Errorf("%s: a kept body takes up to %.1f times its length", coding, most)
		}
	}
}

// TestBodyIsInTime: the time that a body takes to arrive is part of its operation's, whether it is read
// for a finished answer or not.
func TestBodyIsInTime(t *testing.T) {
	a := newAsker(t, "OPERATION_TIMEOUT=100ms")
	for name, length := range map[string]int64{"known length": 1, "chunked": -1} {
		body := `{"query":"{ __typename }"}`
		late := time.After(150 * time.Millisecond)
		wait := sync.OnceFunc(func() { <-late })
		r := httptest.NewRequest(http.MethodPost, "/graphql", slowBody{strings.NewReader(body), wait})
		r.ContentLength = length * int64(len(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
		got := httptest.NewRecorder()
		a.handler.ServeHTTP(got, r)
		if got.Code != http.StatusGatewayTimeout {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
}

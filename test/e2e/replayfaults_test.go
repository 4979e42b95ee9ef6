package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// leavingClient is a client that leaves before its response is written.
type leavingClient struct {
	http.ResponseWriter
	left int // bytes that are still written
}

func (w *leavingClient) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errors.New("the client is gone")
	}
	return w.ResponseWriter.Write(b)
}

const allCodes = `{"query":"{ authorizationCodes(first: 80) { nodes { id scope user { username email } provider { name } } } }"}`

// addLarge adds codes whose list is long even when it is compressed.
func addLarge(up *fake, expires time.Time, size int) {
	random := rand.NewChaCha8([32]byte{})
	for pk := range int32(80) {
		scope := make([]byte, size)
		_, _ = random.Read(scope)
		up.AddCode(upstreamtest.Code{PK: pk + 10, Owner: upstreamtest.UserAlice, Expires: expires, Scope: []string{fmt.Sprintf("%x", scope)}})
	}
}

// TestCutResponseIsNotReplayed checks that a compressed response is not cached if its client left before it was
// written whole.
func TestCutResponseIsNotReplayed(t *testing.T) {
	for _, taken := range []int{0, 100, 20_000} {
		a := newAsker(t)
		addLarge(a.up, a.clock.Now().Add(time.Minute), 1000)
		a.ask(allCodes)
		first, _ := a.ask(allCodes)
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(allCodes))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
		r.Header.Set("Accept-Encoding", "gzip")
		a.handler.ServeHTTP(&leavingClient{httptest.NewRecorder(), taken}, r)
		got, _ := a.ask(allCodes, "Accept-Encoding: gzip")
		if got.Header().Get("Content-Encoding") != "gzip" || !bytes.Equal(unzip(t, got.Body.Bytes()), first.Body.Bytes()) {
			t.Errorf("after a client that took %d bytes: %v", taken, got.Header())
		}
	}
}

// TestReplayIsRateLimited checks that a replayed response counts once for the rate limit.
func TestReplayIsRateLimited(t *testing.T) {
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

// TestBodyIsInTime checks that the time that a body takes to arrive is part of its operation's, whether the
// response cache reads it or not.
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

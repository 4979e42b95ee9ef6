package e2e

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// TestWhatIsReplayed checks which request gets a replayed response after another one that was sent twice. A
// request that was sent once leaves no response behind: it may never be repeated.
func TestWhatIsReplayed(t *testing.T) {
	one := fmt.Sprintf(twoOperations, "A", "1")
	list := `{"query":"{ authorizationCodes { nodes { id isExpired } } }"}`
	fresh := func(*direct) {}
	for _, tt := range []struct {
		name          string
		first, second string
		then          func(a *direct)
		header        []string
		want          bool
	}{
		{"the same bytes", one, one, fresh, nil, true},
		{"other white space", one, strings.ReplaceAll(one, ",", ", \n"), fresh, nil, false},
		{"another request id", one, one, fresh, []string{"X-Request-ID: other", "Traceparent: 00-1-1-00"}, true},
		{"the last moment before it is not fresh", one, one, func(a *direct) { a.clock.Advance(2*time.Second - 1) }, nil, true},
		{"a list", list, list, fresh, nil, true},
		{"another operation", one, fmt.Sprintf(twoOperations, "B", "1"), fresh, nil, false},
		{"another variable", one, fmt.Sprintf(twoOperations, "A", "2"), fresh, nil, false},
		{"a number for a text", `{"query":"query($first: Int) { authorizationCodes(first: $first) { totalCount } }","variables":{"first":1}}`,
			`{"query":"query($first: Int) { authorizationCodes(first: $first) { totalCount } }","variables":{"first":10}}`, fresh, nil, false},
		{"another document", one, strings.Replace(one, "{ id }", "{ pk }", 1), fresh, nil, false},
		{"another caller", one, one, fresh, []string{"Authorization: Bearer " + upstreamtest.TokenAlice}, false},
		{"another media type", one, one, fresh, []string{"Accept: application/graphql-response+json"}, false},
		{"the code has ended", one, one, func(a *direct) { a.clock.Advance(2 * time.Second) }, nil, false},
		{"a code of a list has ended", list, list, func(a *direct) { a.clock.Advance(2 * time.Second) }, nil, false},
		{"it is not fresh any more", list, list, func(a *direct) { a.clock.Advance(5 * time.Second) }, nil, false},
		{"the code is revoked", one, one, func(a *direct) {
			a.ask(`{"query":"mutation { revokeAuthorizationCode(id: \"1\") { id } }"}`)
		}, nil, false},
		{"an error", fmt.Sprintf(twoOperations, "A", "9"), fmt.Sprintf(twoOperations, "A", "9"), fresh, nil, false},
		{"a mutation", `{"query":"mutation { revokeAuthorizationCode(id: \"2\") { id } }"}`, `{"query":"mutation { revokeAuthorizationCode(id: \"2\") { id } }"}`, fresh, nil, false},
		{"nothing is read", `{"query":"{ __typename }"}`, `{"query":"{ __typename }"}`, fresh, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := openDirect(t)
			for range 2 {
				if got, replayed := a.ask(tt.first); replayed {
					t.Fatalf("one of the first responses is replayed: %s", got.Body)
				}
			}
			tt.then(a)
			if got, replayed := a.ask(tt.second, tt.header...); replayed != tt.want || got.Header().Get("X-Request-ID") == "" {
				t.Errorf("replayed: %t\n%d %v\n%s", replayed, got.Code, got.Header(), got.Body)
			}
		})
	}
}

// TestStaleIsNotReplayed checks that a stale response is made each time.
func TestStaleIsNotReplayed(t *testing.T) {
	a := openDirect(t, "CACHE_TTL=1s")
	body := fmt.Sprintf(twoOperations, "A", "2")
	a.ask(body)
	a.ask(body)
	a.clock.Advance(time.Second)
	a.up.SetFault(2, upstreamtest.Error500)
	for range 2 {
		if got, replayed := a.ask(body); replayed || !strings.Contains(got.Body.String(), `"STALE"`) {
			t.Errorf("replayed: %t\n%s", replayed, got.Body)
		}
	}
}

// TestReplayedAge checks that the header fields that state the age are those of the moment.
func TestReplayedAge(t *testing.T) {
	a := openDirect(t)
	body := fmt.Sprintf(twoOperations, "A", "2")
	a.ask(body)
	a.ask(body)
	a.clock.Advance(1500 * time.Millisecond)
	got, replayed := a.ask(body, "X-Request-ID: mine")
	for name, want := range map[string]string{
		"Age": "1", "Cache-Control": "private, max-age=2", "Cache-Status": "authentik-graphql; hit; ttl=2", "X-Request-ID": "mine",
	} {
		if got := got.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !replayed {
		t.Error("it is not replayed")
	}
}

// TestReplayedCompression checks that a cached response is compressed for clients that accept that, and plain
// for the others.
func TestReplayedCompression(t *testing.T) {
	a := openDirect(t)
	for pk := range int32(80) {
		a.up.AddCode(upstreamtest.Code{PK: pk + 10, Owner: upstreamtest.UserAlice, Expires: a.clock.Now().Add(time.Minute)})
	}
	body := `{"query":"{ authorizationCodes(first: 80) { nodes { id user { username email } provider { name } } } }"}`
	a.ask(body)
	first, _ := a.ask(body)
	plain := first.Body.Bytes()
	if len(plain) < 4<<10 {
		t.Fatalf("an answer of %d bytes is not compressed", len(plain))
	}
	for round, coding := range []string{"gzip", "gzip", "identity", "identity", "gzip"} {
		got, replayed := a.ask(body, "Accept-Encoding: "+coding)
		if want := round == 1 || round >= 3; replayed != want {
			t.Errorf("round %d is replayed: %t", round, replayed)
		}
		sent := got.Body.Bytes()
		if want := map[string]string{"gzip": "gzip"}[coding]; got.Header().Get("Content-Encoding") != want {
			t.Errorf("round %d: Content-Encoding %q", round, got.Header().Get("Content-Encoding"))
		} else if want == "gzip" {
			if length := got.Header().Get("Content-Length"); length != "" && length != fmt.Sprint(len(sent)) {
				t.Errorf("round %d: Content-Length %s of %d", round, length, len(sent))
			}
			sent = unzip(t, sent)
		}
		if !bytes.Equal(sent, plain) || !strings.Contains(strings.Join(got.Header()["Vary"], ","), "Accept-Encoding") {
			t.Errorf("round %d: %v\n%.100s", round, got.Header(), sent)
		}
	}
}

func unzip(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// slowBody calls wait before each read.
type slowBody struct {
	io.Reader
	wait func()
}

func (b slowBody) Read(p []byte) (int, error) {
	b.wait()
	return b.Reader.Read(p)
}

// TestSlowBody checks that a cached response is validated when the request has arrived, not when it began.
func TestSlowBody(t *testing.T) {
	a := openDirect(t)
	body := fmt.Sprintf(twoOperations, "B", "1")
	for range 4 {
		a.ask(body)
	}
	r := httptest.NewRequest(http.MethodPost, "/graphql", slowBody{strings.NewReader(body), func() { a.clock.Advance(3 * time.Second) }})
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
	got := httptest.NewRecorder()
	a.handler.ServeHTTP(got, r)
	if !strings.Contains(got.Body.String(), `"isExpired":true`) {
		t.Errorf("the code has ended: %s", got.Body)
	}
}

// TestEqualBytesAreNotDecoded checks that once a response is cached, equal requests do not reach GraphQL.
func TestEqualBytesAreNotDecoded(t *testing.T) {
	a := openDirect(t)
	reached := 0
	for range 6 {
		if _, replayed := a.ask(fmt.Sprintf(twoOperations, "B", "1")); !replayed {
			reached++
		}
	}
	if reached != 2 {
		t.Errorf("%d of 6 equal requests reached GraphQL, want the first two", reached)
	}
}

// TestBodyIsReadOnce checks that a body that does not arrive whole gets the error that it gets elsewhere.
func TestBodyIsReadOnce(t *testing.T) {
	a := openDirect(t)
	body := fmt.Sprintf(twoOperations, "A", "1")
	for name, short := range map[string]int{"cut": len(body) / 2, "empty": 0} {
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body[:short]))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
		got := httptest.NewRecorder()
		a.handler.ServeHTTP(got, r)
		if got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), "could not be read") {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
}

const twoOperations = `{"query":"query A($id: ID!) { authorizationCode(id: $id) { id } } query B($id: ID!) { authorizationCode(id: $id) { isExpired } }","operationName":"%s","variables":{"id":"%s"}}`

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

// TestCutResponseIsNotReplayed checks that a compressed response is not cached if its client left before it
// was written whole.
func TestCutResponseIsNotReplayed(t *testing.T) {
	for _, taken := range []int{0, 100, 20_000} {
		a := openDirect(t)
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
		a := openDirect(t, "RATE_LIMIT=5", "ALLOWED_ORIGINS="+origins)
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
	t.Parallel()
	a := openDirect(t, "OPERATION_TIMEOUT=100ms")
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

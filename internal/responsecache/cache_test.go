package responsecache

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

var alice, bob = cachetest.Caller("alice"), cachetest.Caller("bob")

func always(cache.Dependency, time.Time) bool { return true }

// fakeRequest is a [Request] of a caller, found by its context.
type fakeRequest struct {
	caller     cache.Caller
	provenance *Provenance
	replayed   *Provenance
}

type requestContextKey struct{}

func requestOf(ctx context.Context) Request { return ctx.Value(requestContextKey{}).(*fakeRequest) }

func (r *fakeRequest) CallerDigest() cache.Caller { return r.caller }
func (r *fakeRequest) Provenance() *Provenance    { return r.provenance }
func (r *fakeRequest) Replay(h http.Header, p *Provenance, _ time.Time) {
	r.replayed = p
	h.Set("Age", "1")
}

func newCache(t testing.TB, bytes uint64, valid func(cache.Dependency, time.Time) bool) (*Cache, *cachetest.Clock) {
	t.Helper()
	clock := cachetest.NewClock()
	c, err := New(Options{MaxBytes: bytes, Valid: valid, Request: requestOf, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, clock
}

// fresh is the provenance of a response with two dependencies that is fresh for a second.
func fresh(clock *cachetest.Clock) *Provenance {
	return &Provenance{FreshUntil: clock.Now().Add(time.Second), Dependencies: make([]cache.Dependency, 2)}
}

// keyOf is the key of a request with this body.
func keyOf(t testing.TB, caller cache.Caller, body string) []byte {
	t.Helper()
	key, _, err := readRequest(nil, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), caller)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestGet(t *testing.T) {
	valid := map[int]bool{0: true, 1: true} // by turn
	turn := 0
	c, clock := newCache(t, 1<<20, func(cache.Dependency, time.Time) bool { turn++; return valid[turn-1] })
	c.put(keyOf(t, alice, "request"), &response{body: []byte("response"), Provenance: fresh(clock)})
	for _, tt := range []struct {
		name    string
		caller  cache.Caller
		request string
		prepare func()
		want    bool
	}{
		{"the same request", alice, "request", nil, true},
		{"another request", alice, "Request", nil, false},
		{"a part of it", alice, "reques", nil, false},
		{"another caller", bob, "request", nil, false},
		{"its first dependency is not valid", alice, "request", func() { valid[0] = false }, false},
		{"its last dependency is not valid", alice, "request", func() { valid[0], valid[1] = true, false }, false},
		{"both are valid again", alice, "request", func() { valid[1] = true }, true},
		{"the last moment", alice, "request", func() { clock.Advance(time.Second - 1) }, true},
		{"it is not fresh any more", alice, "request", func() { clock.Advance(1) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if turn = 0; tt.prepare != nil {
				tt.prepare()
			}
			got := c.get(keyOf(t, tt.caller, tt.request), clock.Now())
			if (got != nil) != tt.want || got != nil && string(got.body) != "response" {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestOneHash checks that a response is not found by the hash of its request alone.
func TestOneHash(t *testing.T) {
	c, clock := newCache(t, 1<<20, always)
	alices, bobs := keyOf(t, alice, "request"), keyOf(t, bob, "request")
	c.put(alices, &response{Provenance: fresh(clock)})
	stored, _ := c.responses.GetIfPresent(maphash.Bytes(c.seed, alices))
	c.responses.Set(maphash.Bytes(c.seed, bobs), stored)
	if c.get(alices, clock.Now()) == nil || c.get(bobs, clock.Now()) != nil {
		t.Error("a request gets the response to another one with its hash")
	}
}

// TestPutNothingStale checks that a response that is not fresh is not stored.
func TestPutNothingStale(t *testing.T) {
	c, clock := newCache(t, 1<<20, always)
	old := fresh(clock)
	old.FreshUntil = clock.Now()
	c.put(nil, &response{Provenance: old})
	if got := c.get(nil, clock.Now()); got != nil {
		t.Errorf("got %v", got)
	}
}

// TestMemoryIsBounded checks that large responses take no more memory than they may.
func TestMemoryIsBounded(t *testing.T) {
	const size = 1 << 20
	c, clock := newCache(t, size, always)
	body := strings.Repeat("x", 10<<10)
	for i := range 1000 {
		c.put(keyOf(t, alice, fmt.Sprint(i)), &response{body: []byte(body), Provenance: fresh(clock)})
	}
	cachetest.Eventually(t, "the cache is within its bytes", func() bool {
		n := 0
		for i := range 1000 {
			if c.get(keyOf(t, alice, fmt.Sprint(i)), clock.Now()) != nil {
				n++
			}
		}
		return n > 0 && n*len(body) <= size
	})
}

// TestBodyTakesItsLength checks that a stored body does not keep a much larger array alive.
func TestBodyTakesItsLength(t *testing.T) {
	c, clock := newCache(t, 1<<20, always)
	for _, length := range []int{0, 100, 5000} {
		c.put(nil, &response{body: make([]byte, length, 16<<10), Provenance: fresh(clock)})
		if got := c.get(nil, clock.Now()); cap(got.body) > length*3/2 || len(got.body) != length {
			t.Errorf("%d bytes are kept in an array of %d", length, cap(got.body))
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	c, clock := newCache(t, 1<<16, always)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				body := fmt.Sprint(n % 20)
				key := keyOf(t, alice, body)
				if r := c.get(key, clock.Now()); r != nil && string(r.body) != body {
					t.Errorf("%s gets the response %s", body, r.body)
				}
				if n%3 == i%3 {
					c.put(key, &response{body: []byte(body), Provenance: fresh(clock)})
				}
			}
		})
	}
	all.Wait()
}

// TestAppendPart checks that no two lists of parts make one key.
func TestAppendPart(t *testing.T) {
	seen := map[string][]string{}
	parts := []string{"", "a", "b", "ab", "\x00", "\x01a", strings.Repeat("a", 200)}
	for _, a := range parts {
		for _, b := range parts {
			for _, c := range parts {
				text := string(appendPart(appendPart(appendPart(nil, a), b), c))
				if other, twice := seen[text]; twice {
					t.Errorf("%q and %q are one key", other, []string{a, b, c})
				}
				seen[text] = []string{a, b, c}
			}
		}
	}
}

// TestMiddleware sends two requests and reports which second ones are replayed.
func TestMiddleware(t *testing.T) {
	none := cache.Caller{}
	for _, tt := range []struct {
		name   string
		caller cache.Caller
		change func(r *http.Request)
		fail   bool // the provenance is missing
		status int
		want   bool
	}{
		{"the same request", alice, func(*http.Request) {}, false, 200, true},
		{"another header", alice, func(r *http.Request) { r.Header.Set("X-Request-Id", "x") }, false, 200, true},
		{"no caller", none, func(*http.Request) {}, false, 200, false},
		{"not to be replayed", alice, func(*http.Request) {}, true, 200, false},
		{"an error", alice, func(*http.Request) {}, false, 400, false},
		{"another method", alice, func(r *http.Request) { r.Method = http.MethodGet }, false, 200, false},
		{"a method that is not cached", alice, func(r *http.Request) { r.Method = http.MethodPut }, false, 200, false},
		{"another URL", alice, func(r *http.Request) { r.RequestURI = "/?a" }, false, 200, false},
		{"Accept", alice, func(r *http.Request) { r.Header.Set("Accept", "x") }, false, 200, false},
		{"Accept-Encoding", alice, func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }, false, 200, false},
		{"Content-Type", alice, func(r *http.Request) { r.Header.Set("Content-Type", "x") }, false, 200, false},
		{"Content-Encoding", alice, func(r *http.Request) { r.Header.Set("Content-Encoding", "x") }, false, 200, false},
		{"Expect", alice, func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, false, 200, false},
		{"two lines of Accept", alice, func(r *http.Request) { r.Header["Accept"] = []string{"", ""} }, false, 200, false},
		{"a long Accept", alice, func(r *http.Request) { r.Header.Set("Accept", strings.Repeat("x", 257)) }, false, 200, false},
		{"an unknown length", alice, func(r *http.Request) { r.ContentLength = -1 }, false, 200, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, clock := newCache(t, 1<<20, always)
			calls := 0
			h := c.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Add("Vary", "Accept")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte("response"))
			}))
			send := func(change func(*http.Request)) *httptest.ResponseRecorder {
				request := &fakeRequest{caller: tt.caller}
				if !tt.fail {
					request.provenance = fresh(clock)
				}
				r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
				r = r.WithContext(context.WithValue(r.Context(), requestContextKey{}, request))
				change(r)
				got := httptest.NewRecorder()
				got.Header().Add("Vary", "Origin")
				h.ServeHTTP(got, r)
				return got
			}
			send(func(*http.Request) {})
			got := send(tt.change)
			if replayed := calls == 1; replayed != tt.want || (c.Replayed() == 1) != tt.want || (got.Header().Get("Age") == "1") != tt.want {
				t.Errorf("%d calls, %d replayed, %v", calls, c.Replayed(), got.Header())
			}
			if got.Code != tt.status || got.Body.String() != "response" || got.Header().Get("Content-Type") != "text/plain" || strings.Join(got.Header()["Vary"], ", ") != "Origin, Accept" {
				t.Errorf("%d %v %s", got.Code, got.Header(), got.Body)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	c, clock := newCache(b, 64<<20, always)
	body := strings.NewReader(strings.Repeat("x", 1100))
	r := httptest.NewRequest(http.MethodPost, "/", body)
	key, _, _ := readRequest(nil, r, alice)
	c.put(key, &response{Provenance: fresh(clock)})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = body.Seek(0, io.SeekStart)
		if key, _, _ = readRequest(nil, r, alice); c.get(key, clock.Now()) == nil {
			b.Fatal("gone")
		}
	}
}

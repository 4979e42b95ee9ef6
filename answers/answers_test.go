package answers_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/answers"
	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

var alice, bob = cachetest.Caller("alice"), cachetest.Caller("bob")

// reads are answers.Reads.
type reads struct {
	stands  func(cache.Mark, time.Time) bool
	changed bool
}

func (r *reads) Stands(m cache.Mark, now time.Time) bool { return r.stands(m, now) }
func (*reads) Moment() cache.Moment                      { return cache.Moment{} }
func (r *reads) Unchanged(cache.Moment) bool             { return !r.changed }

func newStore(t testing.TB, bytes uint64, stands func(cache.Mark, time.Time) bool) (*answers.Store, *cachetest.Clock) {
	t.Helper()
	return newStoreOf(t, bytes, &reads{stands: stands})
}

func newStoreOf(t testing.TB, bytes uint64, r *reads) (*answers.Store, *cachetest.Clock) {
	t.Helper()
	clock := cachetest.NewClock()
	s, err := answers.New(bytes, r, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, clock
}

// answer is one that is fresh for a second.
func answer(clock *cachetest.Clock, body string) *answers.Answer {
	return &answers.Answer{
		Body:      []byte(body),
		Freshness: cache.Result[struct{}]{FreshUntil: clock.Now().Add(time.Second)},
		Marks:     make([]cache.Mark, 2),
	}
}

func TestStore(t *testing.T) {
	stands := map[int]bool{0: true, 1: true} // by turn
	turn := 0
	s, clock := newStore(t, 1<<20, func(cache.Mark, time.Time) bool { turn++; return stands[turn-1] })
	request := []byte("request")
	s.Keep(alice, request, answer(clock, "answer"))
	copy(request, "changed") // the caller's memory is its own
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
		{"no caller", cache.Caller{}, "request", nil, false},
		{"its first read does not stand", alice, "request", func() { stands[0] = false }, false},
		{"its last read does not stand", alice, "request", func() { stands[0], stands[1] = true, false }, false},
		{"they stand again", alice, "request", func() { stands[1] = true }, true},
		{"the last moment", alice, "request", func() { clock.Advance(time.Second - 1) }, true},
		{"it is not fresh any more", alice, "request", func() { clock.Advance(1) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if turn = 0; tt.prepare != nil {
				tt.prepare()
			}
			a, ok := s.Get(tt.caller, []byte(tt.request), clock.Now())
			if ok != tt.want || ok && string(a.Body) != "answer" {
				t.Errorf("got %v, %t", a, ok)
			}
		})
	}
}

// TestGetAgain: what a connection asks again is checked again only if something has changed, or the
// store has not heard of it for a second.
func TestGetAgain(t *testing.T) {
	for _, tt := range []struct {
		name    string
		caller  cache.Caller
		request string
		then    func(r *reads, s *answers.Store, clock *cachetest.Clock)
		checks  int
		want    string
	}{
		{"nothing happens", alice, "request", nil, 0, "answer"},
		{"something changes", alice, "request", func(r *reads, _ *answers.Store, _ *cachetest.Clock) { r.changed = true }, 2, "answer"},
		{"it does not stand any more", alice, "request", func(r *reads, _ *answers.Store, _ *cachetest.Clock) {
			r.changed, r.stands = true, func(cache.Mark, time.Time) bool { return false }
		}, 0, ""},
		{"another request", alice, "Request", nil, 2, "another answer"},
		{"another caller's", bob, "request", nil, 0, ""},
		{"nobody's", cache.Caller{}, "request", nil, 0, ""},
		{"a moment less than a second", alice, "request", func(_ *reads, _ *answers.Store, clock *cachetest.Clock) { clock.Advance(time.Second - 1) }, 0, "answer"},
		{"a second", alice, "request", func(_ *reads, _ *answers.Store, clock *cachetest.Clock) { clock.Advance(time.Second) }, 2, "answer"},
		{"the end of its freshness", alice, "request", func(_ *reads, _ *answers.Store, clock *cachetest.Clock) { clock.Advance(1500 * time.Millisecond) }, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checks := 0
			r := &reads{stands: func(cache.Mark, time.Time) bool { checks++; return true }}
			s, clock := newStoreOf(t, 1<<20, r)
			for request, body := range map[string]string{"request": "answer", "Request": "another answer"} {
				a := answer(clock, body)
				a.Freshness.FreshUntil = clock.Now().Add(1500 * time.Millisecond)
				s.Keep(alice, []byte(request), a)
			}
			var last answers.Last
			kept, ok := s.GetAgain(&last, alice, []byte("request"), clock.Now())
			if !ok || checks != 2 || s.Hits() != 1 {
				t.Fatalf("%t after %d checks", ok, checks)
			}
			if checks = 0; tt.then != nil {
				tt.then(r, s, clock)
			}
			got := ""
			a, ok := s.GetAgain(&last, tt.caller, []byte(tt.request), clock.Now())
			if ok {
				got = string(a.Body)
			}
			if got != tt.want || checks != tt.checks || ok != (s.Hits() == 2) {
				t.Errorf("%q after %d checks, %d hits", got, checks, s.Hits())
			}
			runtime.KeepAlive(kept)
		})
	}
}

// changing is a cache in which something happens right after each check.
type changing struct {
	*cache.Cache[string]
	then func()
}

func (c changing) Stands(m cache.Mark, now time.Time) bool {
	defer c.then()
	return c.Cache.Stands(m, now)
}

// TestChangedWhileChecked: what ends after it was checked is not given to the connection again.
func TestChangedWhileChecked(t *testing.T) {
	key := cachetest.Key(t, "alice", 1)
	for name, then := range map[string]func(c *cache.Cache[string]) error{
		"revoked": func(c *cache.Cache[string]) error { return c.Bury(t.Context(), key.Row()) },
		"dropped": func(c *cache.Cache[string]) error { return c.Drop(t.Context(), key) },
	} {
		t.Run(name, func(t *testing.T) {
			memory, err := cache.NewMemory(1<<20, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			c := cache.New(cache.Options{Policy: cache.Policy{TTL: time.Minute}, LoadTimeout: time.Minute}, cachetest.StringCodec, memory, nil)
			t.Cleanup(func() { _ = c.Close(context.Background()) })
			s, err := answers.New(1<<20, changing{c, func() {
				if err := then(c); err != nil {
					t.Error(err)
				}
			}}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			read, err := c.Get(t.Context(), key, func(context.Context) (cache.Entry[string], error) {
				return cache.Entry[string]{Value: "alive", FetchedAt: time.Now()}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			s.Keep(alice, []byte("request"), &answers.Answer{
				Body: []byte(read.Value), Freshness: cache.Result[struct{}]{FreshUntil: read.FreshUntil}, Marks: []cache.Mark{read.Mark()},
			})
			var last answers.Last
			if _, ok := s.GetAgain(&last, alice, []byte("request"), time.Now()); !ok {
				t.Error("what stood when it was checked is not given")
			}
			if _, ok := s.GetAgain(&last, alice, []byte("request"), time.Now()); ok {
				t.Error("given again")
			}
		})
	}
}

// TestLastKeepsNothing: what the store evicts is gone, whoever was given it last.
func TestLastKeepsNothing(t *testing.T) {
	s, clock := newStore(t, 1<<20, func(cache.Mark, time.Time) bool { return true })
	var last answers.Last
	gone := make(chan struct{})
	func() {
		a := answer(clock, "answer")
		runtime.AddCleanup(a, func(gone chan struct{}) { close(gone) }, gone)
		s.Keep(alice, []byte("request"), a)
		if _, ok := s.GetAgain(&last, alice, []byte("request"), clock.Now()); !ok {
			t.Fatal("not kept")
		}
	}()
	s.Keep(alice, []byte("request"), answer(clock, "another"))
	cachetest.Eventually(t, "the answer is gone", func() bool {
		runtime.GC()
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
	runtime.KeepAlive(&last)
}

// TestNothingIsKept of nobody, and of what is not fresh.
func TestNothingIsKept(t *testing.T) {
	s, clock := newStore(t, 1<<20, func(cache.Mark, time.Time) bool { return true })
	s.Keep(cache.Caller{}, []byte("request"), answer(clock, "answer"))
	old := answer(clock, "answer")
	old.Freshness.FreshUntil = clock.Now()
	s.Keep(alice, []byte("request"), old)
	var none *answers.Store
	var last answers.Last
	none.Keep(alice, []byte("request"), answer(clock, "answer"))
	none.Close()
	for name, get := range map[string]func() (*answers.Answer, bool){
		"nobody's":           func() (*answers.Answer, bool) { return s.Get(cache.Caller{}, []byte("request"), clock.Now()) },
		"an old one":         func() (*answers.Answer, bool) { return s.Get(alice, []byte("request"), clock.Now()) },
		"of no store":        func() (*answers.Answer, bool) { return none.Get(alice, []byte("request"), clock.Now()) },
		"of no store, again": func() (*answers.Answer, bool) { return none.GetAgain(&last, alice, []byte("request"), clock.Now()) },
		"never a hit":        func() (*answers.Answer, bool) { return s.Get(bob, nil, clock.Now()) },
		"nobody's nil":       func() (*answers.Answer, bool) { return s.Get(cache.Caller{}, nil, clock.Now()) },
	} {
		if a, ok := get(); ok {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// TestMemoryIsBounded: answers take no more than they may, and the same number of large ones fits
// less often.
func TestMemoryIsBounded(t *testing.T) {
	const size = 1 << 20
	s, clock := newStore(t, size, func(cache.Mark, time.Time) bool { return true })
	body := strings.Repeat("x", 10<<10)
	request := func(i int) []byte { return fmt.Appendf(nil, "request %d", i) }
	for i := range 1000 {
		s.Keep(alice, request(i), answer(clock, body))
	}
	cachetest.Eventually(t, "the store is within its bytes", func() bool {
		n := 0
		for i := range 1000 {
			if _, ok := s.Get(alice, request(i), clock.Now()); ok {
				n++
			}
		}
		return n > 0 && n*len(body) <= size
	})
}

// TestBody: a body takes little more than its bytes, and is copied only for that.
func TestBody(t *testing.T) {
	for _, tt := range []struct {
		length, room int
		copied       bool
	}{{100, 100, false}, {100, 125, false}, {100, 126, true}, {100, 16 << 10, true}, {0, 0, false}} {
		made := make([]byte, tt.length, tt.room)
		for i := range made {
			made[i] = byte(i)
		}
		got := answers.Body(made)
		if !bytes.Equal(got, made) || cap(got) > tt.length*3/2 || (cap(got) != cap(made)) != tt.copied {
			t.Errorf("%d bytes in memory of %d: %d in %d", tt.length, tt.room, len(got), cap(got))
		}
	}
}

func TestTogether(t *testing.T) {
	s, clock := newStore(t, 1<<16, func(cache.Mark, time.Time) bool { return true })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				request := fmt.Appendf(nil, "%d", n%20)
				if a, ok := s.Get(alice, request, clock.Now()); ok && string(a.Body) != string(request) {
					t.Errorf("%s is answered with %s", request, a.Body)
				}
				if n%3 == i%3 {
					s.Keep(alice, request, answer(clock, string(request)))
				}
			}
		})
	}
	all.Wait()
}

// TestAppendPart: no two lists of parts have one text.
func TestAppendPart(t *testing.T) {
	seen := map[string][]string{}
	parts := []string{"", "a", "b", "ab", "\x00", "\x01a", strings.Repeat("a", 200)}
	for _, a := range parts {
		for _, b := range parts {
			for _, c := range parts {
				text := string(answers.AppendPart(answers.AppendPart(answers.AppendPart(nil, a), b), []byte(c)))
				if other, twice := seen[text]; twice {
					t.Errorf("%q and %q are one text", other, []string{a, b, c})
				}
				seen[text] = []string{a, b, c}
			}
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s, clock := newStore(b, 64<<20, func(cache.Mark, time.Time) bool { return true })
	request := []byte(strings.Repeat("x", 1100))
	s.Keep(alice, request, answer(clock, "answer"))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Get(alice, request, clock.Now()); !ok {
			b.Fatal("gone")
		}
	}
}

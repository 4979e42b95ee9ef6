package upstreamtest_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

func newClock() *clock {
	return &clock{now: time.Date(2026, time.March, 1, 12, 3, 20, 0, time.UTC)}
}

// sight is when a code was first and last seen.
type sight struct {
	code        upstreamtest.Code
	first, last time.Time
}

// minted returns the codes that come and go.
func minted(d *upstreamtest.Demo, upTo int32) map[int32]upstreamtest.Code {
	codes := map[int32]upstreamtest.Code{}
	for pk := upstreamtest.DemoFirst; pk < upTo; pk++ {
		if c, ok := d.Code(pk); ok {
			codes[pk] = c
		}
	}
	return codes
}

func TestDemoLife(t *testing.T) {
	const watch = 30 * time.Minute
	c := newClock()
	begin := c.Now()
	d := upstreamtest.NewDemo(upstreamtest.Options{Now: c.Now})
	seen := map[int32]*sight{}
	most := 0
	for now := begin; now.Before(begin.Add(watch)); now = c.advance(time.Second) {
		d.Step(now)
		codes := minted(d, 2000)
		most = max(most, len(codes))
		if newest := slices.Max(slices.Collect(maps.Keys(codes))); d.Newest() != newest || (codes[newest].Owner == "alice") != (newest%2 == 0) {
			t.Fatalf("the newest is %d of %s, not %d", newest, codes[newest].Owner, d.Newest())
		}
		for pk, code := range codes {
			if seen[pk] == nil {
				seen[pk] = &sight{code: code, first: now}
			}
			seen[pk].last = now
		}
	}
	if len(seen) < 300 || most > 80 {
		t.Fatalf("%d codes in half an hour, %d at once", len(seen), most)
	}
	checkLives(t, seen, begin, begin.Add(watch-time.Second))
}

func checkLives(t *testing.T, seen map[int32]*sight, begin, end time.Time) {
	t.Helper()
	owners, expired, redeemed := map[string]int{}, 0, 0
	for pk, s := range seen {
		owners[s.code.Owner]++
		made := s.code.Expires.Add(-time.Minute)
		if s.first.After(begin) && s.first.Sub(made) > time.Second {
			t.Errorf("%d first seen %v after it was made", pk, s.first.Sub(made))
		}
		if s.last.Equal(end) {
			continue // lives on
		}
		gone := s.last.Add(time.Second)
		if age := gone.Sub(made); age < 20*time.Second || age > 6*time.Minute+time.Second {
			t.Errorf("%d went at the age of %v", pk, age)
		}
		if gone.Before(s.code.Expires) {
			redeemed++
			continue
		}
		expired++
		if after := gone.Sub(begin) - 150*time.Second; after%(5*time.Minute) > time.Second {
			t.Errorf("%d was cleaned up %v after the first cleanup", pk, after)
		}
	}
	if owners["alice"] < 100 || owners["bob"] < 100 || redeemed < 20 || expired < 200 || redeemed > expired/3 {
		t.Errorf("owners %v, redeemed %d, expired %d", owners, redeemed, expired)
	}
}

func TestDemoBegin(t *testing.T) {
	c := newClock()
	d := upstreamtest.NewDemo(upstreamtest.Options{Now: c.Now})
	live, expired := map[string]int{}, map[string]int{}
	for _, code := range minted(d, 2000) {
		if code.Expires.After(c.Now()) {
			live[code.Owner]++
		} else {
			expired[code.Owner]++
		}
	}
	for _, owner := range []string{"alice", "bob"} {
		if live[owner] < 3 || expired[owner] < 3 {
			t.Errorf("%s: %d live, %d expired", owner, live[owner], expired[owner])
		}
	}
	srv := start(t, d.Authentik)
	for _, tt := range []struct {
		pk    int32
		token string
		want  int
	}{
		{upstreamtest.DemoAlice, upstreamtest.TokenAlice, 200},
		{upstreamtest.DemoAlice, upstreamtest.TokenBob, 404},
		{upstreamtest.DemoAlice, upstreamtest.TokenRoot, 200},
		{upstreamtest.DemoBob, upstreamtest.TokenBob, 200},
		{upstreamtest.DemoBob, upstreamtest.TokenAlice, 404},
		{upstreamtest.DemoUnknown, upstreamtest.TokenRoot, 404},
		{200, upstreamtest.TokenAlice, 200},
		{400, upstreamtest.TokenAlice, 400},
		{401, upstreamtest.TokenAlice, 403},
		{403, upstreamtest.TokenAlice, 403},
		{429, upstreamtest.TokenBob, 429},
		{500, upstreamtest.TokenBob, 500},
		{503, upstreamtest.TokenRoot, 503},
	} {
		t.Run(fmt.Sprintf("%d as %s", tt.pk, tt.token), func(t *testing.T) {
			url := fmt.Sprintf("%s%s%d/", srv.URL, upstreamtest.Path, tt.pk)
			if status, _, body := send(t, http.MethodGet, url, bearer(tt.token)); status != tt.want {
				t.Errorf("%d, want %d: %.100s", status, tt.want, body)
			}
		})
	}
}

// However rarely the demo is stepped, it arrives at the same rows.
func TestDemoStepDependsOnNowAlone(t *testing.T) {
	for _, pace := range []time.Duration{time.Second, 7 * time.Second, time.Minute, 42 * time.Minute} {
		t.Run(pace.String(), func(t *testing.T) {
			const span = 42 * time.Minute
			often, seldom := newClock(), newClock()
			a := upstreamtest.NewDemo(upstreamtest.Options{Now: often.Now})
			b := upstreamtest.NewDemo(upstreamtest.Options{Now: seldom.Now})
			end := often.Now().Add(span)
			for often.Now().Before(end) {
				a.Step(often.advance(min(pace, end.Sub(often.Now()))))
			}
			b.Step(seldom.advance(span))
			pksOf := func(d *upstreamtest.Demo) []int32 { return slices.Sorted(maps.Keys(minted(d, 3000))) }
			if got, want := pksOf(a), pksOf(b); !slices.Equal(got, want) || len(got) == 0 {
				t.Errorf("stepped %v\n at once %v", got, want)
			}
		})
	}
}

func TestDemoDeletedCodeStaysAway(t *testing.T) {
	c := newClock()
	d := upstreamtest.NewDemo(upstreamtest.Options{Now: c.Now})
	pk := slices.Max(slices.Collect(maps.Keys(minted(d, 2000))))
	d.RemoveCode(pk)
	d.Step(c.advance(time.Second))
	if _, ok := d.Code(pk); ok {
		t.Errorf("code %d is back", pk)
	}
}

func TestDemoRunEndsWithContext(t *testing.T) {
	d := upstreamtest.NewDemo(upstreamtest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.Run(ctx) // returns, or the test runs into its time limit
}

// TestDemoProviders checks that the demo is a current authentik: its grants have no client id, and only root may
// view the providers.
func TestDemoProviders(t *testing.T) {
	srv := start(t, upstreamtest.NewDemo(upstreamtest.Options{}).Authentik)
	grant := fmt.Sprintf("%s%d/", upstreamtest.Path, upstreamtest.DemoAlice)
	for token, want := range map[string]int{upstreamtest.TokenAlice: 403, upstreamtest.TokenBob: 403, upstreamtest.TokenRoot: 200} {
		for _, path := range []string{upstreamtest.Providers.Path(), upstreamtest.Providers.Path() + "1/"} {
			if status, _, body := send(t, http.MethodGet, srv.URL+path, bearer(token)); status != want {
				t.Errorf("%s as %s: %d %.100s", path, token, status, body)
			}
		}
	}
	status, _, body := send(t, http.MethodGet, srv.URL+grant, bearer(upstreamtest.TokenRoot))
	if status != http.StatusOK || bytes.Contains(body, []byte("client_id")) {
		t.Errorf("%d %s", status, body)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

func kind(k upstream.Kind) error { return &upstream.Error{Kind: k} }

// TestGate runs many calls with one token at once and counts those that were made.
func TestGate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first error // of the first call
		calls int64 // of ten
	}{
		{"accepted", nil, 10},
		{"accepted, for nothing", kind(upstream.NotFound), 10},
		{"accepted and refused", kind(upstream.Forbidden), 10},
		{"rejected", kind(upstream.Unauthenticated), 1},
		{"no answer", kind(upstream.Timeout), 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(64, time.Now)
				var calls, atOnce, most atomic.Int64
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						_ = g.pass(t.Context(), tokenDigest{1}, func() error {
							n := calls.Add(1)
							most.Store(max(most.Load(), atOnce.Add(1)))
							defer atOnce.Add(-1)
							time.Sleep(time.Second)
							if n == 1 {
								if most.Load() != 1 {
									t.Error("others call before the first was answered")
								}
								return tt.first
							}
							return nil
						})
					})
				}
				all.Wait()
				if calls.Load() != tt.calls {
					t.Errorf("%d calls, want %d", calls.Load(), tt.calls)
				}
			})
		})
	}
}

// TestGateForgetsARejection: the next try is a second away, and a token that was accepted once may
// be rejected later.
func TestGateForgetsARejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(64, time.Now)
		answer := kind(upstream.Unauthenticated)
		made := 0
		call := func() error { return g.pass(t.Context(), tokenDigest{1}, func() error { made++; return answer }) }
		want := func(n int) {
			t.Helper()
			if _ = call(); made != n {
				t.Errorf("%d calls, want %d", made, n)
			}
		}
		want(1)
		want(1)
		time.Sleep(rejectedFor)
		answer = nil
		want(2)
		answer = kind(upstream.Unauthenticated)
		want(3)
		want(4) // it had been accepted, so it is tried again
		want(4)
	})
}

// TestGateLeavesRoom: however many tokens are invented, they make a quarter of the calls.
func TestGateLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(8, time.Now)
		var atOnce, most atomic.Int64
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				_ = g.pass(t.Context(), tokenDigest{byte(i)}, func() error {
					most.Store(max(most.Load(), atOnce.Add(1)))
					defer atOnce.Add(-1)
					time.Sleep(time.Second)
					return kind(upstream.Unauthenticated)
				})
			})
		}
		all.Wait()
		if most.Load() != 2 {
			t.Errorf("%d at once, want 2", most.Load())
		}
	})
}

// TestGateWaitsNoLonger than its caller.
func TestGateWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, time.Now)
		hold := make(chan struct{})
		for i := range 2 { // the same token, and another while there is room for one
			go func() {
				_ = g.pass(context.Background(), tokenDigest{0}, func() error { <-hold; return nil })
			}()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := g.pass(ctx, tokenDigest{byte(i)}, func() error { return nil })
			cancel()
			if e, ok := errors.AsType[*upstream.Error](err); !ok || e.Kind != upstream.Timeout {
				t.Errorf("got %v", err)
			}
		}
		close(hold)
	})
}

// TestInventedTokenMakesOneCall: also if it asks for a hundred codes.
func TestInventedTokenMakesOneCall(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=0s")
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "a%d: authorizationCode(id: %d) { id } ", i, i+1)
	}
	got := query(t, a.URL, "invented", "{ "+b.String()+" }")
	if n := strings.Count(got.Codes(), "UNAUTHENTICATED"); n != 100 {
		t.Errorf("%d errors: %s", n, got.Body)
	}
	if n := up.Calls().Total; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); got.Codes() != "" {
		t.Errorf("alice: %s", got.Body)
	}
}

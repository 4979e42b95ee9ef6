package grants

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/upstream"
)

func failure(k upstream.Kind) error { return &upstream.Error{Kind: k} }

// TestAdmission runs many calls with one token at once and counts those that are made.
func TestAdmission(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first error // of the first call
		calls int64 // of ten
	}{
		{"accepted", nil, 10},
		{"accepted, not found", failure(upstream.NotFound), 10},
		{"accepted, forbidden", failure(upstream.Forbidden), 10},
		{"rejected", failure(upstream.Unauthenticated), 1},
		{"no answer", failure(upstream.Timeout), 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAdmission(64, time.Now)
				var calls, atOnce, most atomic.Int64
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						_ = a.Do(t.Context(), Digest{1}, func() error {
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

// TestAdmissionForgetsARejection checks that a rejected token is tried again after a second, and that a token
// that was accepted once may be rejected later.
func TestAdmissionForgetsARejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(64, time.Now)
		answer := failure(upstream.Unauthenticated)
		made := 0
		call := func() error { return a.Do(t.Context(), Digest{1}, func() error { made++; return answer }) }
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
		answer = failure(upstream.Unauthenticated)
		want(3)
		want(4) // it was accepted before, so it is tried again
		want(4)
	})
}

// TestUnknownTokensShareAQuarter checks that invented tokens, however many, make a quarter of the calls.
func TestUnknownTokensShareAQuarter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(8, time.Now)
		var atOnce, most atomic.Int64
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				_ = a.Do(t.Context(), Digest{byte(i)}, func() error {
					most.Store(max(most.Load(), atOnce.Add(1)))
					defer atOnce.Add(-1)
					time.Sleep(time.Second)
					return failure(upstream.Unauthenticated)
				})
			})
		}
		all.Wait()
		if most.Load() != 2 {
			t.Errorf("%d at once, want 2", most.Load())
		}
	})
}

// TestAdmissionEndsWithItsContext checks that a call whose turn does not come waits no longer than its caller.
func TestAdmissionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(1, time.Now)
		hold := make(chan struct{})
		for i := range 2 { // the same token, and another while there is room for one
			go func() {
				_ = a.Do(context.Background(), Digest{0}, func() error { <-hold; return nil })
			}()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := a.Do(ctx, Digest{byte(i)}, func() error { return nil })
			cancel()
			if e, ok := errors.AsType[*upstream.Error](err); !ok || e.Kind != upstream.Timeout {
				t.Errorf("got %v", err)
			}
		}
		close(hold)
	})
}

// TestLastTokensAreRemembered checks that of 20,001 accepted tokens none of the last 10,000 is unknown again. A
// cache that evicts by frequency would keep half of them.
func TestLastTokensAreRemembered(t *testing.T) {
	a := newAdmission(4, time.Now)
	token := func(i int) Digest { return Digest{byte(i >> 16), byte(i >> 8), byte(i)} }
	for i := range 20001 {
		a.record(token(i), nil)
	}
	if !a.unknown.TryAcquire(1) { // so that no unknown token makes a call
		t.Fatal("an unknown token makes a call")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for i := 10001; i < 20001; i++ {
		if err := a.Do(ended, token(i), func() error { return nil }); err != nil {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if err := a.Do(ended, token(0), func() error { return nil }); err == nil {
		t.Error("more tokens are remembered than may be")
	}
}

package upstream

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testPolicy is a policy with a fake clock around it, for use inside of synctest.
func testPolicy(timeout time.Duration, concurrency int) *policy {
	return newPolicy(Options{Timeout: timeout, Concurrency: concurrency, Logger: slog.New(slog.DiscardHandler)})
}

// taking is a call that takes that long, ignores its context, and succeeds.
func taking(d time.Duration) func(context.Context) (answer, error) {
	return func(context.Context) (answer, error) { time.Sleep(d); return answer{status: 200}, nil }
}

// occupy lets a call take a slot for that long.
func occupy(t *testing.T, p *policy, d time.Duration) {
	var caller sync.WaitGroup
	caller.Go(func() { _, _ = p.do(context.WithoutCancel(t.Context()), pattern{retries: maxRetries}, taking(d)) })
	t.Cleanup(caller.Wait)
	synctest.Wait()
}

// wantError checks that err is an *Error of that kind, with that cause and RetryAfter.
func wantError(t *testing.T, err error, kind Kind, cause error, retryAfter time.Duration) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Errorf("got %v, want %v", err, kind)
		return
	}
	if e.Kind != kind || e.RetryAfter != retryAfter || cause != nil && !errors.Is(e, cause) {
		t.Errorf("got %v, retry after %v; want %v for %v, retry after %v", e, e.RetryAfter, kind, cause, retryAfter)
	}
}

func TestQueue(t *testing.T) {
	for name, test := range map[string]func(t *testing.T){
		"never more at once than allowed": func(t *testing.T) {
			p := testPolicy(time.Minute, 3)
			var mu sync.Mutex
			var running, most, done int
			start := time.Now()
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() {
					_, err := p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) {
						mu.Lock()
						running++
						most = max(most, running)
						mu.Unlock()
						time.Sleep(time.Second)
						mu.Lock()
						running--
						done++
						mu.Unlock()
						return answer{}, nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			if r, q := len(p.slots), p.queued.Load(); r != 3 || q != 47 {
				t.Errorf("%d run and %d wait", r, q)
			}
			callers.Wait()
			if most != 3 || done != 50 || time.Since(start) != 17*time.Second {
				t.Errorf("%d at once, %d done, in %v", most, done, time.Since(start))
			}
			if r, q := len(p.slots), p.queued.Load(); r != 0 || q != 0 {
				t.Errorf("%d run and %d wait at the end", r, q)
			}
		},
		"in their order": func(t *testing.T) {
			p := testPolicy(time.Minute, 1)
			var order []int
			var callers sync.WaitGroup
			for i := range 10 {
				callers.Go(func() {
					_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) {
						order = append(order, i)
						time.Sleep(time.Second)
						return answer{}, nil
					})
				})
				synctest.Wait()
			}
			callers.Wait()
			for i, n := range order {
				if i != n {
					t.Fatalf("served as %v", order)
				}
			}
		},
		"full": func(t *testing.T) {
			p := testPolicy(time.Hour, 2)
			var callers sync.WaitGroup
			for range 2 + 1024 {
				callers.Go(func() {
					if _, err := p.do(t.Context(), pattern{retries: maxRetries}, taking(time.Second)); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			start := time.Now()
			_, err := p.do(t.Context(), pattern{retries: maxRetries}, taking(0))
			wantError(t, err, Unavailable, errQueueFull, time.Second)
			if time.Since(start) != 0 || p.queued.Load() != 1024 || p.rejected.Load() != 1 {
				t.Errorf("after %v; %d wait, %d rejected", time.Since(start), p.queued.Load(), p.rejected.Load())
			}
			time.Sleep(time.Second + time.Millisecond) // two places are free
			if _, err = p.do(t.Context(), pattern{retries: maxRetries}, taking(0)); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			callers.Wait()
		},
		"the deadline ends in it": func(t *testing.T) {
			p := testPolicy(2*time.Second, 1)
			occupy(t, p, 10*time.Second)
			start := time.Now()
			_, err := p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) { t.Error("called"); return answer{}, nil })
			wantError(t, err, Unavailable, errQueueWait, time.Second)
			if time.Since(start) != 2*time.Second || p.queued.Load() != 0 || p.rejected.Load() != 1 {
				t.Errorf("after %v; %d wait, %d rejected", time.Since(start), p.queued.Load(), p.rejected.Load())
			}
		},
		"the caller leaves": func(t *testing.T) {
			p := testPolicy(time.Minute, 1)
			occupy(t, p, 10*time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_, err := p.do(ctx, pattern{retries: maxRetries}, func(context.Context) (answer, error) { t.Error("called"); return answer{}, nil })
			wantError(t, err, Timeout, context.Canceled, 0)
			if time.Since(start) != time.Second || p.queued.Load() != 0 || p.rejected.Load() != 0 {
				t.Errorf("after %v; %d wait, %d rejected", time.Since(start), p.queued.Load(), p.rejected.Load())
			}
		},
		"the wait is part of the time": func(t *testing.T) {
			p := testPolicy(5*time.Second, 1)
			occupy(t, p, 3*time.Second)
			_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(ctx context.Context) (answer, error) {
				if deadline, _ := ctx.Deadline(); time.Until(deadline) != 2*time.Second {
					t.Errorf("%v are left", time.Until(deadline))
				}
				return answer{}, nil
			})
		},
		"no time at all": func(t *testing.T) {
			p := testPolicy(0, 1)
			_, err := p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) { t.Error("called"); return answer{}, nil })
			wantError(t, err, Timeout, context.DeadlineExceeded, 0)
		},
		"a call that panics gives its slot back": func(t *testing.T) {
			p := testPolicy(time.Minute, 1)
			func() {
				defer func() { _ = recover() }()
				_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) { panic("a bug") })
			}()
			if _, err := p.do(t.Context(), pattern{retries: maxRetries}, taking(time.Second)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

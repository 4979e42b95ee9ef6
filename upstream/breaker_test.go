package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// brokenCall fails at once, in a way that counts and is not retried.
func brokenCall(context.Context) (answer, error) {
	return answer{}, &Error{Kind: Failed, Status: 500}
}

// hungCall ends with its context, as the client's calls do.
func hungCall(ctx context.Context) (answer, error) {
	<-ctx.Done()
	return answer{}, transportError(ctx.Err())
}

// neverCall must not be called.
func neverCall(t *testing.T) func(context.Context) (answer, error) {
	return func(context.Context) (answer, error) {
		t.Helper()
		t.Error("a call was made")
		return answer{}, nil
	}
}

// times makes a call n times, one after the other.
func times(t *testing.T, p *policy, n int, call func(context.Context) (answer, error)) {
	for range n {
		_, _ = p.do(t.Context(), pattern{retries: maxRetries}, call)
	}
}

func wantState(t *testing.T, p *policy, want string) {
	t.Helper()
	if got, _ := p.breaker.state(); got != want {
		t.Errorf("the breaker is %s, want %s", got, want)
	}
}

// wantRefused checks that a call is rejected at once.
func wantRefused(t *testing.T, p *policy, retryAfter time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := p.do(t.Context(), pattern{retries: maxRetries}, neverCall(t))
	wantError(t, err, Unavailable, errBreakerOpen, retryAfter)
	if time.Since(start) != 0 {
		t.Errorf("rejected after %v", time.Since(start))
	}
}

// openedPolicy is a policy whose breaker has just opened.
func openedPolicy(t *testing.T, concurrency int) *policy {
	t.Helper()
	p := testPolicy(10*time.Second, concurrency)
	times(t, p, breakerCalls, brokenCall)
	wantState(t, p, "open")
	return p
}

// halfOpenPolicy is a policy whose breaker admits the next call as a probe.
func halfOpenPolicy(t *testing.T, concurrency int) *policy {
	t.Helper()
	p := openedPolicy(t, concurrency)
	time.Sleep(breakerDelay)
	return p
}

// TestWhatCounts checks which results open the breaker when they come twenty times.
func TestWhatCounts(t *testing.T) {
	status := func(kind Kind, status int) error { return &Error{Kind: kind, Status: status} }
	for _, tt := range []struct {
		name  string
		err   error
		opens bool
	}{
		{"an answer", nil, false},
		{"400", status(BadInput, 400), false},
		{"401", status(Unauthenticated, 401), false},
		{"403", status(Forbidden, 403), false},
		{"404", status(NotFound, 404), false},
		{"404, cut", bodyError(io.ErrUnexpectedEOF, answer{status: 404}), false},
		{"429", status(RateLimited, 429), false},
		{"a page with 200", &Error{Kind: InvalidResponse, Status: 200, Err: errNotJSON}, false},
		{"over the cap", bodyError(errTooLarge, answer{status: 200}), false},
		{"500", status(Failed, 500), true},
		{"501", status(Failed, 501), true},
		{"502", status(Failed, 502), true},
		{"503", status(Failed, 503), true},
		{"504", status(Failed, 504), true},
		{"starting, 503", &Error{Kind: Unavailable, Status: 503, Err: errStarting}, true},
		{"starting, 200", &Error{Kind: Unavailable, Status: 200, Err: errStarting}, true},
		{"no answer", transportError(errors.New("connection refused")), true},
		{"no connection in time", transportError(context.DeadlineExceeded), true},
		{"200, cut", bodyError(io.ErrUnexpectedEOF, answer{status: 200}), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := testPolicy(10*time.Second, 1)
				attempts := 0
				for range 2 * breakerCalls {
					_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) { attempts++; return answer{}, tt.err })
				}
				switch _, opened := p.breaker.state(); {
				case tt.opens && (opened != 1 || attempts != breakerCalls):
					t.Errorf("opened %d times, after %d attempts", opened, attempts)
				case !tt.opens && (opened != 0 || attempts != 2*breakerCalls):
					t.Errorf("opened %d times, after %d attempts", opened, attempts)
				}
			})
		})
	}
}

func TestBreakerOpens(t *testing.T) {
	for name, test := range map[string]func(t *testing.T){
		"at half of twenty": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			times(t, p, 10, taking(0))
			times(t, p, 9, brokenCall)
			wantState(t, p, "closed")
			times(t, p, 1, brokenCall)
			wantState(t, p, "open")
		},
		"not at less than half": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			times(t, p, 60, taking(0))
			times(t, p, 50, brokenCall)
			wantState(t, p, "closed")
			times(t, p, 10, brokenCall)
			wantState(t, p, "open")
		},
		"not at less than twenty": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			times(t, p, breakerCalls-1, brokenCall)
			wantState(t, p, "closed")
			if _, err := p.do(t.Context(), pattern{retries: maxRetries}, taking(0)); err != nil {
				t.Error(err)
			}
		},
		"not for failures long ago": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			times(t, p, breakerCalls-1, brokenCall)
			time.Sleep(10 * time.Second)
			times(t, p, breakerCalls-1, brokenCall)
			wantState(t, p, "closed")
		},
		"for failures of the last seconds": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			times(t, p, 10, brokenCall)
			time.Sleep(8 * time.Second)
			times(t, p, 10, brokenCall)
			wantState(t, p, "open")
		},
		"for time-outs": func(t *testing.T) {
			p := testPolicy(100*time.Millisecond, 1)
			times(t, p, breakerCalls, hungCall)
			wantState(t, p, "open")
		},
		"not for callers that leave": func(t *testing.T) {
			p := testPolicy(time.Second, 1)
			for range 2 * breakerCalls {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
				_, err := p.do(ctx, pattern{retries: maxRetries}, hungCall)
				wantError(t, err, Timeout, context.Canceled, 0)
			}
			wantState(t, p, "closed")
		},
		"not for callers in a hurry": func(t *testing.T) {
			p := testPolicy(time.Second, 1)
			for range 2 * breakerCalls {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				_, err := p.do(ctx, pattern{retries: maxRetries}, hungCall)
				wantError(t, err, Timeout, context.DeadlineExceeded, 0)
				cancel()
			}
			wantState(t, p, "closed")
		},
		"not for time in the queue": func(t *testing.T) {
			p := testPolicy(time.Second, 1)
			occupy(t, p, time.Minute)
			var callers sync.WaitGroup
			for range 2 * breakerCalls {
				callers.Go(func() {
					_, err := p.do(t.Context(), pattern{retries: maxRetries}, neverCall(t))
					wantError(t, err, Unavailable, errQueueWait, time.Second)
				})
			}
			callers.Wait()
			wantState(t, p, "closed")
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

func TestOpenBreaker(t *testing.T) {
	for name, test := range map[string]func(t *testing.T){
		"says how long it stays open": func(t *testing.T) {
			p := openedPolicy(t, 1)
			wantRefused(t, p, 2*time.Second)
			time.Sleep(999 * time.Millisecond)
			wantRefused(t, p, 2*time.Second)
			time.Sleep(time.Millisecond)
			wantRefused(t, p, time.Second)
			time.Sleep(time.Second - time.Nanosecond)
			wantRefused(t, p, time.Second)
			if n := p.rejected.Load(); n != 4 {
				t.Errorf("%d rejected", n)
			}
			time.Sleep(time.Nanosecond)
			if _, err := p.do(t.Context(), pattern{retries: maxRetries}, taking(0)); err != nil {
				t.Errorf("after two seconds: %v", err)
			}
		},
		"does not let its callers queue": func(t *testing.T) {
			p := openedPolicy(t, 1)
			p.slots <- struct{}{} // as an earlier call would hold it
			wantRefused(t, p, 2*time.Second)
		},
		"turns those away that had queued": func(t *testing.T) {
			p := testPolicy(time.Minute, 1)
			var first, queued sync.WaitGroup
			first.Go(func() {
				_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(ctx context.Context) (answer, error) {
					time.Sleep(time.Second)
					return brokenCall(ctx)
				})
			})
			synctest.Wait()
			made := 0
			for range 2 * breakerCalls {
				queued.Go(func() {
					_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(ctx context.Context) (answer, error) { made++; return brokenCall(ctx) })
				})
			}
			first.Wait()
			queued.Wait()
			if made != breakerCalls-1 || p.rejected.Load() != breakerCalls+1 {
				t.Errorf("%d calls made, %d rejected", made, p.rejected.Load())
			}
		},
		"ends a retry with the failure before": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			times(t, p, breakerCalls-1, brokenCall)
			made := 0
			_, err := p.do(t.Context(), pattern{retries: maxRetries}, func(ctx context.Context) (answer, error) { made++; return failing(ctx) })
			wantState(t, p, "open")
			wantError(t, err, Unavailable, errStarting, 0)
			if made != 1 || p.retries.Load() != 0 {
				t.Errorf("%d calls made, %d retries", made, p.retries.Load())
			}
		},
		"takes no notice of calls from before": func(t *testing.T) {
			p := testPolicy(time.Minute, 10)
			var before sync.WaitGroup
			for _, end := range []error{nil, nil, nil, &Error{Kind: Failed, Status: 500}} {
				before.Go(func() {
					_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) {
						time.Sleep(breakerDelay + time.Second)
						return answer{}, end
					})
				})
			}
			synctest.Wait()
			times(t, p, breakerCalls, brokenCall)
			time.Sleep(breakerDelay)
			var probes sync.WaitGroup
			for range maxProbes {
				probes.Go(func() {
					if _, err := p.do(t.Context(), pattern{retries: maxRetries}, taking(10*time.Second)); err != nil {
						t.Errorf("a probe: %v", err)
					}
				})
			}
			before.Wait()
			wantState(t, p, "half-open")
			probes.Wait()
			wantState(t, p, "closed")
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

func TestProbes(t *testing.T) {
	for name, test := range map[string]func(t *testing.T){
		"one that succeeds closes": func(t *testing.T) {
			p := halfOpenPolicy(t, 1)
			times(t, p, 1, taking(0))
			wantState(t, p, "closed")
			times(t, p, breakerCalls-1, brokenCall) // earlier failures are forgotten
			wantState(t, p, "closed")
		},
		"one that is refused closes": func(t *testing.T) {
			p := halfOpenPolicy(t, 1)
			times(t, p, 1, func(context.Context) (answer, error) { return answer{}, &Error{Kind: NotFound, Status: 404} })
			wantState(t, p, "closed")
		},
		"one that fails opens again": func(t *testing.T) {
			p := halfOpenPolicy(t, 1)
			times(t, p, 1, brokenCall)
			wantState(t, p, "open")
			wantRefused(t, p, 2*time.Second)
			time.Sleep(breakerDelay)
			times(t, p, 1, taking(0))
			wantState(t, p, "closed")
		},
		"three at once": func(t *testing.T) {
			p := halfOpenPolicy(t, 10)
			for range maxProbes {
				occupy(t, p, 5*time.Second)
			}
			wantState(t, p, "half-open")
			wantRefused(t, p, time.Second)
		},
		"one whose caller leaves makes room": func(t *testing.T) {
			p := halfOpenPolicy(t, 10)
			for range 4 * maxProbes {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := p.do(ctx, pattern{retries: maxRetries}, hungCall)
				wantError(t, err, Timeout, context.Canceled, 0)
				wantState(t, p, "half-open")
			}
		},
		"one that panics makes room": func(t *testing.T) {
			p := halfOpenPolicy(t, 10)
			for range 4 * maxProbes {
				func() {
					defer func() { _ = recover() }()
					_, _ = p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) { panic("a bug") })
				}()
			}
			wantState(t, p, "half-open")
			times(t, p, 1, taking(0))
			wantState(t, p, "closed")
		},
		"the first to end decides": func(t *testing.T) {
			p := halfOpenPolicy(t, 10)
			occupy(t, p, 5*time.Second)
			times(t, p, 1, brokenCall)
			wantState(t, p, "open")
			time.Sleep(breakerDelay)
			times(t, p, 1, taking(time.Second))
			wantState(t, p, "closed")
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

// TestBreakerLog checks that each change of state is logged once, and that a failed probe is not.
func TestBreakerLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := newPolicy(Options{Timeout: time.Minute, Concurrency: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		wantLines := func(step string, levels ...string) {
			t.Helper()
			var got []string
			for line := range strings.Lines(log.String()) {
				got = append(got, strings.TrimPrefix(strings.Fields(line)[1], "level="))
			}
			if strings.Join(got, " ") != strings.Join(levels, " ") {
				t.Errorf("%s: %s", step, log.String())
			}
		}
		times(t, p, 1, taking(0))
		times(t, p, 2*breakerCalls, brokenCall)
		wantLines("opened", "WARN")
		if !strings.Contains(log.String(), "failures=19 calls=20") {
			t.Errorf("log: %s", log.String())
		}
		for range 3 {
			time.Sleep(breakerDelay)
			times(t, p, 2, brokenCall)
		}
		wantLines("probes failed", "WARN")
		time.Sleep(breakerDelay)
		times(t, p, 2, taking(0))
		wantLines("closed", "WARN", "INFO")
		times(t, p, 2*breakerCalls, brokenCall)
		wantLines("opened again", "WARN", "INFO", "WARN")
		if state, opened := p.breaker.state(); state != "open" || opened != 2 {
			t.Errorf("%s, opened %d times", state, opened)
		}
	})
}

// TestStatsOfPolicy checks that the policy's counts appear under the right names.
func TestStatsOfPolicy(t *testing.T) {
	c := NewClient(Options{BaseURL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, Logger: slog.New(slog.DiscardHandler)})
	c.policy.slots <- struct{}{}
	c.policy.queued.Store(2)
	c.policy.rejected.Store(3)
	c.policy.retries.Store(4)
	for range breakerCalls {
		c.policy.breaker.leave(c.policy.breaker.period, failed)
	}
	got := c.Stats()
	got.Dropped = nil
	want := Stats{Running: 1, Queued: 2, Rejected: 3, Retries: 4, BreakerState: "open", BreakerOpened: 1}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := cap(c.policy.slots); n != 64 {
		t.Errorf("%d calls may run at once by default", n)
	}
}

// TestAnswersDoNotOpenTheBreaker has fewer failures than half of all calls while they happen, and more than
// half of the window when earlier answers have left it. By then authentik answers again.
func TestAnswersDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(Options{Timeout: time.Second, Concurrency: 1, Logger: slog.New(slog.DiscardHandler)})
		answeredCall := func(context.Context) (answer, error) { return answer{}, nil }
		times(t, p, 3*breakerCalls, answeredCall)
		time.Sleep(breakerWindow / 2)
		times(t, p, 2*breakerCalls, brokenCall)
		wantState(t, p, "closed")
		time.Sleep(breakerWindow * 3 / 4)
		times(t, p, 1, answeredCall)
		wantState(t, p, "closed")
	})
}

package upstream

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestRetries has in each row the results of a call's tries, one after the other, and the pauses before the
// tries it makes. The call must return the last result.
func TestRetries(t *testing.T) {
	const second = time.Second
	refused := transportError(errors.New("connection refused"))
	starting := &Error{Kind: Unavailable, Status: 503, Err: errStarting}
	asks := func(d time.Duration) *Error { return &Error{Kind: Unavailable, Status: 503, RetryAfter: d} }
	status := func(kind Kind, status int) *Error { return &Error{Kind: kind, Status: status} }
	type try struct {
		takes time.Duration
		err   *Error // nil is an answer
	}
	for _, tt := range []struct {
		name    string
		timeout time.Duration // 0 is 10 s
		tries   []try
		pauses  []time.Duration // the shortest; by chance they are up to twice as long
		exact   bool            // the pauses are exactly as long
	}{
		{name: "an answer", tries: []try{{}}},
		{name: "502", tries: []try{{err: status(Failed, 502)}, {}}, pauses: []time.Duration{firstPause}},
		{name: "503", tries: []try{{err: status(Failed, 503)}, {}}, pauses: []time.Duration{firstPause}},
		{name: "504", tries: []try{{err: status(Failed, 504)}, {}}, pauses: []time.Duration{firstPause}},
		{name: "starting", tries: []try{{err: starting}, {}}, pauses: []time.Duration{firstPause}},
		{name: "starting, with status 200", tries: []try{{err: status(Unavailable, 200)}, {}}, pauses: []time.Duration{firstPause}},
		{name: "no answer", tries: []try{{err: refused}, {}}, pauses: []time.Duration{firstPause}},
		{name: "no connection in time", tries: []try{{takes: 5 * second, err: transportError(context.DeadlineExceeded)}, {}}, pauses: []time.Duration{firstPause}},
		{name: "cut", tries: []try{{err: bodyError(io.ErrUnexpectedEOF, answer{status: 200})}, {}}, pauses: []time.Duration{firstPause}},
		{name: "the pauses grow", tries: []try{{err: refused}, {err: starting}, {}}, pauses: []time.Duration{firstPause, 2 * firstPause}},
		{name: "three tries at most", tries: []try{{err: starting}, {err: starting}, {err: refused}, {}}, pauses: []time.Duration{firstPause, 2 * firstPause}},
		{name: "the last failure counts", tries: []try{{err: refused}, {err: status(Forbidden, 403)}}, pauses: []time.Duration{firstPause}},

		{name: "400", tries: []try{{err: status(BadInput, 400)}, {}}},
		{name: "401", tries: []try{{err: status(Unauthenticated, 401)}, {}}},
		{name: "403", tries: []try{{err: status(Forbidden, 403)}, {}}},
		{name: "404", tries: []try{{err: status(NotFound, 404)}, {}}},
		{name: "404, cut", tries: []try{{err: bodyError(io.ErrUnexpectedEOF, answer{status: 404})}, {}}},
		{name: "429 that asks for a second", tries: []try{{err: &Error{Kind: RateLimited, Status: 429, RetryAfter: second}}, {}}},
		{name: "500", tries: []try{{err: status(Failed, 500)}, {}}},
		{name: "a page", tries: []try{{err: status(InvalidResponse, 200)}, {}}},
		{name: "over the cap", tries: []try{{err: bodyError(errTooLarge, answer{status: 200})}, {}}},
		{name: "a body that takes too long", tries: []try{{takes: second, err: bodyError(context.DeadlineExceeded, answer{status: 200})}, {}}},
		{name: "the whole time", tries: []try{{takes: 10 * second, err: transportError(context.DeadlineExceeded)}, {}}},

		{name: "asks for a second", tries: []try{{err: asks(second)}, {}}, pauses: []time.Duration{second}, exact: true},
		{name: "asks for a second twice", tries: []try{{err: asks(second)}, {err: asks(second)}, {}}, pauses: []time.Duration{second, second}, exact: true},
		{name: "asks for a wait that no longer fits", timeout: 2 * second, tries: []try{{err: asks(second)}, {err: asks(second)}, {}}, pauses: []time.Duration{second}, exact: true},
		{name: "asks for too long a wait", tries: []try{{err: asks(2 * second)}, {}}},
		{name: "asks for all that is left", timeout: 2 * second, tries: []try{{takes: second, err: asks(second)}, {}}},
		{name: "408", tries: []try{{err: status(Timeout, 408)}, {}}},
		{name: "no time for a pause", timeout: second, tries: []try{{takes: second - firstPause, err: refused}, {}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.timeout == 0 {
					tt.timeout = 10 * second
				}
				p := testPolicy(tt.timeout, 1)
				var ended time.Time
				var paused []time.Duration
				made := 0
				_, err := p.do(t.Context(), pattern{retries: maxRetries}, func(context.Context) (answer, error) {
					if made > 0 {
						paused = append(paused, time.Since(ended))
					}
					this := tt.tries[made]
					made++
					time.Sleep(this.takes)
					ended = time.Now()
					if this.err != nil {
						return answer{}, this.err
					}
					return answer{status: 200}, nil
				})
				if last := tt.tries[made-1].err; last == nil && err != nil || last != nil && err != error(last) {
					t.Errorf("got %v, want %v", err, last)
				}
				if len(paused) != len(tt.pauses) || p.retries.Load() != int64(len(paused)) {
					t.Fatalf("paused %v, counted %d; want %v", paused, p.retries.Load(), tt.pauses)
				}
				for i, want := range tt.pauses {
					if paused[i] < want || paused[i] >= 2*want || tt.exact && paused[i] != want {
						t.Errorf("paused %v, want %v", paused, tt.pauses)
					}
				}
				if time.Since(ended) != 0 {
					t.Errorf("returned %v after the last try", time.Since(ended))
				}
			})
		})
	}
}

// failing is a call that fails at once, in a way that may pass.
func failing(context.Context) (answer, error) {
	return answer{}, &Error{Kind: Unavailable, Status: 502, Err: errStarting}
}

func TestPause(t *testing.T) {
	for name, test := range map[string]func(t *testing.T){
		"differs by chance": func(t *testing.T) {
			seen := map[time.Duration]bool{}
			for range 20 {
				start := time.Now()
				if !pause(t.Context(), &Error{Status: 502}, 0) {
					t.Fatal("no pause")
				}
				seen[time.Since(start)] = true
			}
			if len(seen) < 10 {
				t.Errorf("20 pauses of %d lengths", len(seen))
			}
		},
		"holds no slot": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			tries := 0
			asking := func(context.Context) (answer, error) {
				if tries++; tries == 1 {
					return answer{}, &Error{Kind: Unavailable, Status: 503, RetryAfter: time.Second}
				}
				return answer{}, nil
			}
			start := time.Now()
			done := make(chan error)
			go func() { _, err := p.do(t.Context(), pattern{retries: maxRetries}, asking); done <- err }()
			synctest.Wait()
			if _, err := p.do(t.Context(), pattern{retries: maxRetries}, taking(time.Second/2)); err != nil || time.Since(start) != time.Second/2 {
				t.Errorf("another call: %v after %v", err, time.Since(start))
			}
			if err := <-done; err != nil || time.Since(start) != time.Second || tries != 2 {
				t.Errorf("the call itself: %v after %v, %d tries", err, time.Since(start), tries)
			}
		},
		"ends when the caller leaves": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second/2, cancel)
			start := time.Now()
			_, err := p.do(ctx, pattern{retries: maxRetries}, func(context.Context) (answer, error) {
				return answer{}, &Error{Kind: Unavailable, Status: 503, RetryAfter: time.Second}
			})
			wantError(t, err, Unavailable, nil, time.Second)
			if time.Since(start) != time.Second/2 || p.retries.Load() != 0 {
				t.Errorf("after %v, %d retries", time.Since(start), p.retries.Load())
			}
		},
		"is none once the caller has left": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			ctx, cancel := context.WithCancel(t.Context())
			_, err := p.do(ctx, pattern{retries: maxRetries}, func(context.Context) (answer, error) { cancel(); return failing(ctx) })
			wantError(t, err, Unavailable, nil, 0)
			if p.retries.Load() != 0 {
				t.Errorf("%d retries", p.retries.Load())
			}
		},
		"fits into the caller's own deadline": func(t *testing.T) {
			p := testPolicy(time.Hour, 1)
			ctx, cancel := context.WithTimeout(t.Context(), firstPause)
			defer cancel()
			start := time.Now()
			_, err := p.do(ctx, pattern{retries: maxRetries}, failing)
			wantError(t, err, Unavailable, nil, 0)
			if time.Since(start) != 0 || p.retries.Load() != 0 {
				t.Errorf("after %v, %d retries", time.Since(start), p.retries.Load())
			}
		},
		"ends in a queue that does not move": func(t *testing.T) {
			p := testPolicy(10*time.Second, 1)
			var other sync.WaitGroup
			start := time.Now()
			_, err := p.do(t.Context(), pattern{retries: maxRetries}, func(ctx context.Context) (answer, error) {
				other.Go(func() { _, _ = p.do(context.WithoutCancel(ctx), pattern{retries: maxRetries}, taking(20*time.Second)) })
				synctest.Wait() // the other is next
				return failing(ctx)
			})
			wantError(t, err, Unavailable, errStarting, 0)
			if time.Since(start) != 10*time.Second || p.retries.Load() != 0 || p.rejected.Load() != 1 {
				t.Errorf("after %v, %d retries, %d rejected", time.Since(start), p.retries.Load(), p.rejected.Load())
			}
			other.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// maxQueued is how many calls may wait for their turn. More would only fail later.
	maxQueued = 1024
	// maxRetries, of a GET, bounds what one caller's failure costs an authentik that is failing already.
	maxRetries = 2
	// firstPause is the shortest pause before a retry. It doubles with each retry, and jitter of up to the
	// same length is added, so that calls that failed together are not retried together.
	firstPause = 50 * time.Millisecond
	// longestPause is the longest pause before a retry, whatever authentik asks for: its router asks for five
	// seconds, in which a caller would rather be told, or get a stale value.
	longestPause = time.Second
)

var (
	errQueueFull   = errors.New("too many calls to authentik wait for their turn")
	errQueueWait   = errors.New("the time was over before the call's turn came")
	errBreakerOpen = errors.New("the circuit breaker is open: authentik fails")
	errTimeUp      = fmt.Errorf("UPSTREAM_TIMEOUT is over: %w", context.DeadlineExceeded) // net/http returns it
)

// NotSent reports whether the call was rejected in this process, before it was sent.
func (e *Error) NotSent() bool {
	return errors.Is(e, errQueueFull) || errors.Is(e, errQueueWait) || errors.Is(e, errBreakerOpen)
}

// policy decides when a call is made: within which time, how many at once, when it is retried, and when
// it is rejected.
type policy struct {
	timeout time.Duration
	observe func(took time.Duration, err error)
	breaker *breaker
	slots   chan struct{} // has one element for each call that runs

	queued   atomic.Int64
	rejected atomic.Int64
	retries  atomic.Int64
}

func newPolicy(o Options) *policy {
	if o.Observe == nil {
		o.Observe = func(time.Duration, error) {}
	}
	return &policy{
		timeout: o.Timeout,
		observe: o.Observe,
		breaker: newBreaker(o.Logger),
		slots:   make(chan struct{}, o.Concurrency),
	}
}

// pattern is how a call is made.
type pattern struct {
	retries  int  // at most, where they may help
	optional bool // reports whether a failure does not count for the breaker
}

// do makes a call, with retries, and returns the last result. The
// timeout covers everything: the wait for a turn, all tries, and the pauses between them.
func (p *policy) do(ctx context.Context, how pattern, call func(context.Context) (answer, error)) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, errTimeUp)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return answer{}, transportError(err)
	}
	a, made, err := p.try(ctx, how, call)
	for n := 0; made && n < how.retries && retryable(err) && pause(ctx, err, n); n++ {
		again, made, retryErr := p.try(ctx, how, call)
		if !made {
			break // the failure before says more than the rejection
		}
		p.retries.Add(1)
		a, err = again, retryErr
	}
	return a, err
}

// try makes one call in a slot. Made is false if the breaker or the queue rejects it.
func (p *policy) try(ctx context.Context, how pattern, call func(context.Context) (answer, error)) (a answer, made bool, err error) {
	if wait := p.breaker.delay(); wait > 0 { // before a wait in the queue
		return answer{}, false, p.reject(errBreakerOpen, wait)
	}
	if err := p.takeSlot(ctx); err != nil {
		return answer{}, false, err
	}
	defer p.freeSlot()
	period, wait := p.breaker.enter()
	if wait > 0 { // it opened in the meantime
		return answer{}, false, p.reject(errBreakerOpen, wait)
	}
	o := unknown // if call panics
	defer func() { p.breaker.leave(period, o) }()
	began := time.Now()
	a, err = call(ctx)
	p.observe(time.Since(began), err)
	if o = outcomeOf(ctx, err); how.optional && o == failed {
		o = unknown
	}
	return a, true, err
}

// outcomeOf is what a call's result says about authentik. Refusals and foreign pages are answers: the
// server is up, and rejecting other callers would not help.
func outcomeOf(ctx context.Context, err error) outcome {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return answered
	case ctx.Err() != nil && context.Cause(ctx) != errTimeUp: // the caller left
		return unknown
	case e.Kind == Timeout, e.Kind == Unavailable, e.Status >= 500, isCut(e):
		return failed
	}
	return answered
}

// pause waits before the nth retry of a call that failed: as long as authentik asked, but for longestPause at
// most, or for a short random time. It returns false, without waiting, if the retry would come too late.
func pause(ctx context.Context, failure error, n int) bool {
	d := firstPause << n
	d += rand.N(d)
	if e, ok := errors.AsType[*Error](failure); ok && e.RetryAfter > 0 {
		d = min(e.RetryAfter, longestPause)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryable reports whether a GET's failure may pass soon: a gateway's, a core that starts, a broken connection.
func retryable(failure error) bool {
	e, ok := errors.AsType[*Error](failure)
	if !ok || e.RetryAfter > longestPause {
		return false
	}
	switch e.Status {
	case 0, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // 0 is no answer
		return true
	case http.StatusOK: // with which authentik 2025.10.0 says that it starts
		return e.Kind == Unavailable || isCut(e)
	}
	return false
}

// isCut reports whether the connection broke within a 200. Another answer that is cut was still an answer.
func isCut(e *Error) bool { return e.Status == http.StatusOK && errors.Is(e, errCut) }

// takeSlot waits for a slot. The channel serves waiting calls in their order.
func (p *policy) takeSlot(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	defer p.queued.Add(-1)
	if p.queued.Add(1) > maxQueued {
		return p.reject(errQueueFull, time.Second)
	}
	select {
	case p.slots <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		p.freeSlot() // both were ready, and a call now would count as a time-out of authentik's
	case <-ctx.Done():
	}
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return transportError(err)
	}
	return p.reject(errQueueWait, time.Second)
}

func (p *policy) freeSlot() { <-p.slots }

// reject counts a call that is not sent and returns its error.
func (p *policy) reject(why error, retryAfter time.Duration) *Error {
	p.rejected.Add(1)
	return &Error{Kind: Unavailable, RetryAfter: retryAfter, Err: why}
}

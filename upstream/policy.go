package upstream

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// maxQueued is how many calls may wait for their turn. Beyond that, waiting only makes each of
// them fail later.
const maxQueued = 1024

var (
	errQueueFull = errors.New("too many calls to authentik wait for their turn")
	errQueueWait = errors.New("the time was over before the call's turn came")
)

// policy decides when a call is made: within which time and how many at once.
type policy struct {
	timeout time.Duration
	slots   chan struct{} // one element for each call that runs

	queued   atomic.Int64
	rejected atomic.Int64
}

func newPolicy(o Options) *policy {
	return &policy{timeout: o.Timeout, slots: make(chan struct{}, o.Concurrency)}
}

// do makes a call when its turn comes. The timeout covers everything, the wait included.
func (p *policy) do(ctx context.Context, call func(context.Context) (answer, error)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return answer{}, transportError(err)
	}
	if err := p.takeSlot(ctx); err != nil {
		return answer{}, err
	}
	defer p.freeSlot()
	return call(ctx)
}

// takeSlot waits for one of the slots. The channel serves those who wait in their order.
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
		p.freeSlot() // both were ready; a call now would only count as authentik's time-out
	case <-ctx.Done():
	}
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return transportError(err)
	}
	return p.reject(errQueueWait, time.Second)
}

func (p *policy) freeSlot() { <-p.slots }

// reject turns an attempt away before it was made.
func (p *policy) reject(why error, retryAfter time.Duration) *Error {
	p.rejected.Add(1)
	return &Error{Kind: Unavailable, RetryAfter: retryAfter, Err: why}
}

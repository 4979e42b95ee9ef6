package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// flights lets one load run for each key at a time in this process.
//
// The load runs on a context of its own: a caller that leaves cancels nothing for those who wait
// with it, and each waits by its own deadline. golang.org/x/sync/singleflight is not used because
// it ends the process when a load panics.
type flights[V any] struct {
	timeout time.Duration
	mu      sync.Mutex
	calls   map[Key]*call[V]
}

type call[V any] struct {
	done chan struct{}
	val  V
	err  error
}

func newFlights[V any](timeout time.Duration) *flights[V] {
	return &flights[V]{timeout: timeout, calls: map[Key]*call[V]{}}
}

// do returns the outcome of load, or ctx's error if ctx ends first; the load goes on then.
// joined tells that another caller had started it.
func (f *flights[V]) do(ctx context.Context, key Key, load func(context.Context) (V, error)) (v V, joined bool, err error) {
	f.mu.Lock()
	c, joined := f.calls[key]
	if !joined {
		c = &call[V]{done: make(chan struct{})}
		f.calls[key] = c
		go f.run(context.WithoutCancel(ctx), key, c, load)
	}
	f.mu.Unlock()

	select {
	case <-c.done:
		return c.val, joined, c.err
	case <-ctx.Done():
		return v, joined, ctx.Err()
	}
}

// errNoReturn is the outcome of a load that ended its goroutine instead of returning.
var errNoReturn = errors.New("cache: load did not return")

// run makes one load. A panic becomes an error of the load.
func (f *flights[V]) run(ctx context.Context, key Key, c *call[V], load func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			c.err = fmt.Errorf("cache: load panicked: %v\n%s", p, debug.Stack())
		}
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(c.done)
	}()
	c.err = errNoReturn // stands after runtime.Goexit: no value must not look like an empty one
	c.val, c.err = load(ctx)
}

// wait returns when no load runs any more, or when ctx ends. A load may start while it waits, which
// a sync.WaitGroup does not allow.
func (f *flights[V]) wait(ctx context.Context) error {
	for {
		c := f.any()
		if c == nil {
			return nil
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// any returns a running call, or nil.
func (f *flights[V]) any() *call[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		return c
	}
	return nil
}

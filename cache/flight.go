package cache

import (
	"context"
	"fmt"
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
	running sync.WaitGroup
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
		f.running.Add(1)
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

// run makes one load. A panic becomes an error of the load.
func (f *flights[V]) run(ctx context.Context, key Key, c *call[V], load func(context.Context) (V, error)) {
	defer f.running.Done()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			c.err = fmt.Errorf("cache: load panicked: %v", p)
		}
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(c.done)
	}()
	c.val, c.err = load(ctx)
}

// wait returns when no load runs any more, or when ctx ends.
func (f *flights[V]) wait(ctx context.Context) error {
	idle := make(chan struct{})
	go func() { f.running.Wait(); close(idle) }()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

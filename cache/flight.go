package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"authentik-graphql/internal/telemetry/spans"
)

// flights lets one load run for each key at a time in this process.
//
// The load runs on a context of its own: a caller that leaves cancels nothing for those who wait
// with it, and each waits by its own deadline. golang.org/x/sync/singleflight is not used because
// it ends the process when a load panics, and has no way to show what is there before the load ends.
type flights[V any] struct {
	timeout time.Duration
	mu      sync.Mutex
	calls   map[Key]*call[V]
	// spans makes the spans of loads, which ended ends; nil makes none.
	spans *spans.Tracer
	ended func(spans.Span, V, error)
}

// call is one flight: what it offers while it is under way, and its outcome.
type call[V any] struct {
	began time.Time
	span  spans.Span
	// done is closed when val and err are set.
	done chan struct{}
	val  V
	err  error
	// offered is closed when offer is set, which happens at most once and maybe never.
	offered chan struct{}
	offer   *V
}

func newFlights[V any](timeout time.Duration) *flights[V] {
	return &flights[V]{timeout: timeout, calls: map[Key]*call[V]{}}
}

// join returns the key's flight, and starts it with load if there is none. load may offer once what
// is to be had before it ends. joined tells that another caller had started it.
func (f *flights[V]) join(ctx context.Context, key Key, load func(ctx context.Context, offer func(V)) (V, error)) (c *call[V], joined bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, joined = f.calls[key]
	if !joined {
		c = &call[V]{began: time.Now(), done: make(chan struct{}), offered: make(chan struct{})}
		f.calls[key] = c
		ctx, c.span = f.spans.Start(context.WithoutCancel(ctx), fetchSpan)
		go f.run(ctx, key, c, load)
	}
	return c, joined
}

// errNoReturn is the outcome of a load that ended its goroutine instead of returning.
var errNoReturn = errors.New("cache: load did not return")

// run makes one load. A panic becomes an error of the load.
func (f *flights[V]) run(ctx context.Context, key Key, c *call[V], load func(context.Context, func(V)) (V, error)) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			c.err = fmt.Errorf("cache: load panicked: %v\n%s", p, debug.Stack())
		}
		if c.span.IsRecording() {
			f.ended(c.span, c.val, c.err)
		}
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(c.done)
	}()
	c.err = errNoReturn // stands after runtime.Goexit: no value must not look like an empty one
	var once sync.Once
	c.val, c.err = load(ctx, func(v V) {
		once.Do(func() {
			c.offer = &v
			close(c.offered)
		})
	})
}

// unless does something while no load runs for the key; if one does, or begins, it does nothing.
func (f *flights[V]) unless(key Key, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, flying := f.calls[key]; !flying {
		do()
	}
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

// sleep returns nil after d, or ctx's error if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

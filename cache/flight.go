package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"authentik-graphql/internal/telemetry/spans"
)

// flights runs at most one load for each key at a time in this process.
//
// A load has a context of its own: a caller that leaves does not cancel it for the others, and each waits
// until its own deadline. golang.org/x/sync/singleflight would end the process when a load panics, and cannot
// offer a result before the load ends.
type flights[V any] struct {
	timeout time.Duration
	spans   *spans.Tracer // nil makes no spans
	mu      sync.Mutex
	calls   map[Key]*call[V]
}

// call is one flight.
type call[V any] struct {
	began time.Time
	span  trace.Span
	// done is closed when result and err are set.
	done   chan struct{}
	result Result[V]
	err    error
	// offered is closed when offer is set: a stale result that callers may use before the load ends.
	offered chan struct{}
	offer   *Result[V]
}

// loadFunc is what a flight does. It may offer a stale result meanwhile; only the first offer counts.
type loadFunc[V any] func(ctx context.Context, offer func(Result[V])) (Result[V], error)

func newFlights[V any](timeout time.Duration, tracer *spans.Tracer) *flights[V] {
	return &flights[V]{timeout: timeout, spans: tracer, calls: map[Key]*call[V]{}}
}

// join returns the key's flight. If there is none it starts one. joined reports that the flight was under
// way.
func (f *flights[V]) join(ctx context.Context, key Key, load loadFunc[V]) (c *call[V], joined bool) {
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

// run makes one load. A panic becomes its error.
func (f *flights[V]) run(ctx context.Context, key Key, c *call[V], load loadFunc[V]) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			c.err = fmt.Errorf("cache: load panicked: %v\n%s", p, debug.Stack())
		}
		endSpan(c.span, c.result, c.err)
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(c.done)
	}()
	c.err = errNoReturn // remains after runtime.Goexit
	c.result, c.err = load(ctx, func(r Result[V]) {
		if c.offer == nil {
			c.offer = &r
			close(c.offered)
		}
	})
}

// ifIdle calls do, unless a load runs for the key. No load starts meanwhile.
func (f *flights[V]) ifIdle(key Key, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, busy := f.calls[key]; !busy {
		do()
	}
}

// wait returns when no load runs any more, or when ctx ends. A load may start while it waits, which a
// sync.WaitGroup does not allow.
func (f *flights[V]) wait(ctx context.Context) error {
	for {
		f.mu.Lock()
		var running *call[V]
		for _, running = range f.calls {
			break
		}
		f.mu.Unlock()
		if running == nil {
			return nil
		}
		select {
		case <-running.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sleep returns nil after d, or ctx's error if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

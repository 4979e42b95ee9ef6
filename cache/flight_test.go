package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// got is what Get returned.
type got struct {
	cache.Result[string]
	err error
}

// start calls Get in a goroutine.
func start(ctx context.Context, c *cache.Cache[string], key cache.Key, load cache.Loader[string]) <-chan got {
	done := make(chan got, 1)
	go func() {
		r, err := c.Get(ctx, key, load)
		done <- got{r, err}
	}()
	return done
}

// held makes loaders that wait until they are released.
type held struct {
	origin
	release chan struct{}
}

func newHeld() *held { return &held{origin: origin{now: time.Now}, release: make(chan struct{})} }

func (h *held) returns(value string) cache.Loader[string] {
	return func(ctx context.Context) (cache.Entry[string], error) {
		e, err := h.origin.returns(value)(ctx)
		select {
		case <-h.release:
			return e, err
		case <-ctx.Done():
			return cache.Entry[string]{}, ctx.Err()
		}
	}
}

// storing has policies by whether results are stored: flights must work either way.
var storing = map[string]cache.Policy{"storing": {TTL: ttl}, "storing nothing": {}}

func flightTest(t *testing.T, run func(t *testing.T, c *cache.Cache[string])) {
	for name, policy := range storing {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(t, time.Now)
				run(t, newCacheOf(policy, time.Now, m, nil))
			})
		})
	}
}

func TestFlightIsShared(t *testing.T) {
	flightTest(t, func(t *testing.T, c *cache.Cache[string]) {
		const callers = 50
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		var done []<-chan got
		for range callers {
			done = append(done, start(t.Context(), c, key, h.returns("value")))
		}
		synctest.Wait() // until all of them wait for the load
		close(h.release)
		for _, d := range done {
			if o := <-d; o.err != nil || o.Value != "value" || o.Source != cache.FromOrigin {
				t.Errorf("got %q from %d, error %v", o.Value, o.Source, o.err)
			}
		}
		if got, want := c.Stats(), (cache.Stats{Loads: 1, Joined: callers - 1}); got != want || h.loads.Load() != 1 {
			t.Errorf("counts: got %+v and %d loads, want %+v", got, h.loads.Load(), want)
		}
	})
}

func TestFlightsOfDifferentKeys(t *testing.T) {
	flightTest(t, func(t *testing.T, c *cache.Cache[string]) {
		keys := map[string]cache.Key{
			"alice":            cachetest.Key(t, "alice", 1),
			"bob":              cachetest.Key(t, "bob", 1),
			"another resource": cachetest.Key(t, "alice", 2),
		}
		h, done := newHeld(), map[string]<-chan got{}
		for value, key := range keys {
			done[value] = start(t.Context(), c, key, h.returns(value))
		}
		synctest.Wait()
		if got := h.loads.Load(); got != int64(len(keys)) {
			t.Errorf("%d loads run, want %d", got, len(keys))
		}
		close(h.release)
		for value, d := range done {
			if o := <-d; o.err != nil || o.Value != value {
				t.Errorf("got %q, error %v, want %q", o.Value, o.err, value)
			}
		}
	})
}

func TestCallerLeavesFlight(t *testing.T) {
	for _, leaver := range []string{"the leader", "a waiter"} {
		t.Run(leaver, func(t *testing.T) {
			flightTest(t, func(t *testing.T, c *cache.Cache[string]) {
				h, key := newHeld(), cachetest.Key(t, "alice", 1)
				leave, cancel := context.WithCancelCause(t.Context())
				contexts := []context.Context{leave, t.Context()}
				if leaver == "a waiter" {
					contexts[0], contexts[1] = contexts[1], contexts[0]
				}
				first := start(contexts[0], c, key, h.returns("value"))
				synctest.Wait()
				second := start(contexts[1], c, key, never(t))
				synctest.Wait()
				leaving, staying := first, second
				if leaver == "a waiter" {
					leaving, staying = second, first
				}
				cancel(nil)
				if o := <-leaving; !errors.Is(o.err, context.Canceled) {
					t.Errorf("the caller that left got %v", o.err)
				}
				third := start(t.Context(), c, key, never(t)) // can still join
				synctest.Wait()
				close(h.release)
				for _, d := range []<-chan got{staying, third} {
					if o := <-d; o.err != nil || o.Value != "value" {
						t.Errorf("a caller that stayed got %q, error %v", o.Value, o.err)
					}
				}
			})
		})
	}
}

func TestLoadHasContextValues(t *testing.T) {
	flightTest(t, func(t *testing.T, c *cache.Cache[string]) {
		type contextKey struct{}
		ctx := context.WithValue(t.Context(), contextKey{}, "request 1")
		_, err := c.Get(ctx, cachetest.Key(t, "alice", 1), func(ctx context.Context) (cache.Entry[string], error) {
			if got := ctx.Value(contextKey{}); got != "request 1" {
				t.Errorf("the load's context has %v", got)
			}
			return cache.Entry[string]{}, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestLoadIsBounded(t *testing.T) {
	flightTest(t, func(t *testing.T, c *cache.Cache[string]) {
		began := time.Now()
		_, err := c.Get(t.Context(), cachetest.Key(t, "alice", 1), newHeld().returns("value"))
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
			t.Errorf("got error %v after %s, want the deadline's after 10s", err, took)
		}
	})
}

func TestLoadThatDoesNotReturn(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func()
		want string
	}{
		{"a panic", func() { panic("no such table") }, "no such table"},
		{"a panic with an error", func() { panic(errors.New("no such table")) }, "no such table"},
		{"a nil dereference", func() { _ = *(*string)(nil) }, "nil pointer"},
		{"a panic with nil", func() { panic(nil) }, "nil"}, //nolint:govet // on purpose
		{"the end of its goroutine", runtime.Goexit, "did not return"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flightTest(t, func(t *testing.T, c *cache.Cache[string]) {
				h, key := newHeld(), cachetest.Key(t, "alice", 1)
				load := func(ctx context.Context) (cache.Entry[string], error) {
					e, err := h.returns("value")(ctx)
					tt.end()
					return e, err
				}
				var done []<-chan got
				for range 5 {
					done = append(done, start(t.Context(), c, key, load))
				}
				synctest.Wait()
				close(h.release)
				for _, d := range done {
					if o := <-d; o.err == nil || !strings.Contains(o.err.Error(), tt.want) {
						t.Errorf("got %q, error %v, want an error with %q", o.Value, o.err, tt.want)
					}
				}
				mustGet(t, c, key, h.returns("next"), "next", cache.FromOrigin)
				if got := h.loads.Load(); got != 2 {
					t.Errorf("%d loads, want 2", got)
				}
			})
		})
	}
}

func TestCloseWaitsForLoads(t *testing.T) {
	flightTest(t, func(t *testing.T, c *cache.Cache[string]) {
		h := newHeld()
		leave, cancel := context.WithCancel(t.Context())
		var done []<-chan got
		for id := range int32(3) {
			done = append(done, start(leave, c, cachetest.Key(t, "alice", id+1), h.returns(fmt.Sprint(id))))
		}
		synctest.Wait()
		cancel() // no caller waits for the loads any more
		for _, d := range done {
			<-d
		}
		closed := make(chan error, 1)
		go func() { closed <- c.Close(context.Background()) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Fatalf("closed with error %v while loads run", err)
		default:
		}
		close(h.release)
		if err := <-closed; err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// closing is a store that counts calls of Close.
type closing struct {
	empty
	closed int
}

func (c *closing) Close() { c.closed++ }

type closingShared struct {
	*cachetest.Process
	err    error
	closed int
}

func (c *closingShared) Close() error { c.closed++; return c.err }

func TestCloseTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("stuck")
		first := &closing{}
		second := &closingShared{Process: cachetest.NewFakeRedis(keysOf(t, 1), time.Now).Process(), err: failure}
		c, h := newCache(time.Now, first, second), newHeld()
		d := start(t.Context(), c, cachetest.Key(t, "alice", 1), h.returns("value"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, failure) {
			t.Errorf("got %v, want the deadline's error and %v", err, failure)
		}
		if first.closed != 1 || second.closed != 1 {
			t.Errorf("closed %d and %d times, want once each", first.closed, second.closed)
		}
		close(h.release)
		if o := <-d; o.err != nil || o.Value != "value" {
			t.Errorf("the load returned %q, error %v", o.Value, o.err)
		}
	})
}

// TestReadWhileClosing: requests that outlast the shutdown may read while the cache is closed.
func TestReadWhileClosing(t *testing.T) {
	clock := cachetest.NewClock()
	c := newCache(clock.Now, newMemory(t, clock.Now), nil)
	o := &origin{now: clock.Now}
	var wg sync.WaitGroup
	for id := range int32(20) {
		key := cachetest.Key(t, "alice", id+1)
		wg.Go(func() {
			if _, err := c.Get(context.Background(), key, o.returns("value")); err != nil {
				t.Errorf("get: %v", err)
			}
		})
	}
	if err := c.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	wg.Wait()
}

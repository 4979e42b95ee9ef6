package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// processes are several processes that share a fake Redis, in a bubble.
type processes struct {
	fake   *cachetest.FakeRedis
	links  []*cachetest.Process
	caches []*cache.Cache[string]
}

func startProcesses(t *testing.T, n int, p cache.Policy) *processes {
	s := &processes{fake: cachetest.NewFakeRedis(keysOf(t, 1), time.Now)}
	for range n {
		link := s.fake.Process()
		s.links = append(s.links, link)
		s.caches = append(s.caches, newCacheOf(p, time.Now, newMemory(t, time.Now), link))
	}
	return s
}

// inBubble runs a test with three processes.
func inBubble(t *testing.T, run func(t *testing.T, s *processes)) {
	synctest.Test(t, func(t *testing.T) { run(t, startProcesses(t, 3, usual)) })
}

// everywhere reads in all processes at the same time.
func (s *processes) everywhere(t *testing.T, key cache.Key, load cache.Loader[string]) (done []<-chan got) {
	for _, c := range s.caches {
		done = append(done, start(t.Context(), c, key, load))
	}
	return done
}

func TestOneLoadForAllProcesses(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		done := s.everywhere(t, key, h.returns("value"))
		time.Sleep(4 * time.Second) // meanwhile the lease is renewed
		close(h.release)
		for i, d := range done {
			if o := <-d; o.err != nil || o.Value != "value" {
				t.Errorf("process %d: %q, error %v", i, o.Value, o.err)
			}
		}
		if n := h.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

func TestErrorsAreSharedByProcesses(t *testing.T) {
	for _, failure := range []error{errDenied, errUnauthenticated, errUnavailable, errFailed} {
		t.Run(failure.Error(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *processes) {
				h, key := newHeld(), cachetest.Key(t, "alice", 1)
				done := s.everywhere(t, key, func(ctx context.Context) (cache.Entry[string], error) {
					_, _ = h.returns("")(ctx)
					return cache.Entry[string]{}, failure
				})
				time.Sleep(time.Second)
				close(h.release)
				for i, d := range done {
					if o := <-d; !errors.Is(o.err, failure) {
						t.Errorf("process %d: %q, error %v", i, o.Value, o.err)
					}
				}
				if n := h.loads.Load(); n != 1 {
					t.Errorf("%d loads, want 1", n)
				}
			})
		})
	}
}

// TestLapsedLeaseIsTakenOver: when a process dies during a load, another one loads after its lease has
// lapsed.
func TestLapsedLeaseIsTakenOver(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		first := start(t.Context(), s.caches[0], key, h.returns("of the first"))
		synctest.Wait()
		s.links[0].Cut(true) // so that its lease is not renewed any more
		began := time.Now()
		o := &origin{now: time.Now}
		mustGet(t, s.caches[1], key, o.returns("of the second"), "of the second", cache.FromOrigin)
		if took := time.Since(began); took < 2*time.Second || took > 2*time.Second+200*time.Millisecond {
			t.Errorf("took over after %s", took)
		}
		s.links[0].Cut(false)
		close(h.release)
		if o := <-first; o.err != nil || o.Value != "of the first" {
			t.Errorf("the first: %q, error %v", o.Value, o.err)
		}
		mustGet(t, s.caches[2], key, never(t), "of the second", cache.FromRedis) // the older value has not overwritten it
	})
}

// TestRedisFailsWhileWaiting: a process stops waiting for a lease when Redis fails.
func TestRedisFailsWhileWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		first := start(t.Context(), s.caches[0], key, h.returns("of the first"))
		synctest.Wait()
		second := start(t.Context(), s.caches[1], key, (&origin{now: time.Now}).returns("of the second"))
		synctest.Wait()
		s.links[1].Cut(true)
		if o := <-second; o.err != nil || o.Value != "of the second" {
			t.Errorf("the second: %q, error %v", o.Value, o.err)
		}
		close(h.release)
		if o := <-first; o.err != nil || o.Value != "of the first" {
			t.Errorf("the first: %q, error %v", o.Value, o.err)
		}
	})
}

// TestWaitingForALeaseIsBounded: a read waits for the load of another process until its own deadline, and no
// longer than a load may take.
func TestWaitingForALeaseIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		defer close(h.release)
		start(t.Context(), s.caches[0], key, h.returns("never"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if o := <-start(ctx, s.caches[1], key, never(t)); !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("got %q, error %v", o.Value, o.err)
		}
		began := time.Now()
		if o := <-start(t.Context(), s.caches[2], key, never(t)); !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("got %q, error %v", o.Value, o.err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("waited %s", took)
		}
	})
}

// TestStaleWhileAnotherProcessLoads: reads that wait for another process get the stale value after a second.
func TestStaleWhileAnotherProcessLoads(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		mustGet(t, s.caches[0], key, (&origin{now: time.Now}).returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		start(t.Context(), s.caches[0], key, h.returns("new"))
		synctest.Wait()
		began := time.Now()
		wantStale(t, s.caches[1], key, never(t), "value", cache.StaleIfError)
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %s", took)
		}
		close(h.release)
		synctest.Wait()
		time.Sleep(time.Second)
		mustGet(t, s.caches[1], key, never(t), "new", cache.FromMemory) // the flight went on
	})
}

func TestRevocation(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		o, alice, bob, other := &origin{now: time.Now}, cachetest.Key(t, "alice", 1), cachetest.Key(t, "bob", 1), cachetest.Key(t, "alice", 2)
		for _, c := range s.caches {
			for _, key := range []cache.Key{alice, bob, other} {
				if _, err := get(t, c, key, o.returns("value")); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.caches[0].Revoke(t.Context(), alice.ResourceID()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, c := range s.caches {
				wantError(t, c, alice, never(t), cache.ErrRevoked)
				wantError(t, c, bob, never(t), cache.ErrRevoked)
				if _, err := get(t, c, other, o.returns("value")); err != nil {
					t.Errorf("another resource: %v", err)
				}
			}
			time.Sleep(20 * time.Second)
		}
	})
}

// TestLoadAcrossARevocation: a load that began before the revocation puts nothing back anywhere.
func TestLoadAcrossARevocation(t *testing.T) {
	for _, revokes := range []int{0, 1} {
		t.Run(fmt.Sprintf("process %d loads, %d revokes", 0, revokes), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *processes) {
				h, key := newHeld(), cachetest.Key(t, "alice", 1)
				d := start(t.Context(), s.caches[0], key, h.returns("value"))
				synctest.Wait()
				if err := s.caches[revokes].Revoke(t.Context(), key.ResourceID()); err != nil {
					t.Fatal(err)
				}
				close(h.release)
				if o := <-d; !errors.Is(o.err, cache.ErrRevoked) {
					t.Errorf("got %q, error %v", o.Value, o.err)
				}
				for _, c := range s.caches {
					wantError(t, c, key, never(t), cache.ErrRevoked)
				}
			})
		})
	}
}

// TestRevocationWhileWaitingWithAStaleValue: a stale value is not returned if its resource is revoked
// meanwhile.
func TestRevocationWhileWaitingWithAStaleValue(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		mustGet(t, s.caches[0], key, (&origin{now: time.Now}).returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		d := start(t.Context(), s.caches[0], key, h.returns("new"))
		time.Sleep(time.Second / 2)
		if err := s.caches[1].Revoke(t.Context(), key.ResourceID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		close(h.release)
		if o := <-d; !errors.Is(o.err, cache.ErrRevoked) {
			t.Errorf("got %q, stale %q, error %v", o.Value, o.Stale, o.err)
		}
	})
}

// TestMissedRevocation: a process that is not in sync asks Redis on each read, and afterwards does not trust
// what it had before.
func TestMissedRevocation(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		o := &origin{now: time.Now}
		for id := range int32(2) {
			for _, c := range s.caches[:2] {
				if _, err := get(t, c, cachetest.Key(t, "alice", id+1), o.returns("value")); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.links[1].Disconnect(true)
		if err := s.caches[0].Revoke(t.Context(), cachetest.Key(t, "alice", 1).ResourceID()); err != nil {
			t.Fatal(err)
		}
		wantError(t, s.caches[1], cachetest.Key(t, "alice", 1), never(t), cache.ErrRevoked)
		mustGet(t, s.caches[1], cachetest.Key(t, "alice", 2), never(t), "value", cache.FromMemory)
		if err := s.caches[0].Revoke(t.Context(), cachetest.Key(t, "alice", 2).ResourceID()); err != nil {
			t.Fatal(err)
		}
		s.links[1].Disconnect(false) // another subscription, so that earlier notifications are lost
		wantError(t, s.caches[1], cachetest.Key(t, "alice", 2), never(t), cache.ErrRevoked)
	})
}

// TestOfferAfterAMissedRevocation: what a flight offered while in sync is not returned to a read that starts
// after a revocation that the process missed.
func TestOfferAfterAMissedRevocation(t *testing.T) {
	for name, lose := range map[string]func(*cachetest.Process){
		"cut off":      func(p *cachetest.Process) { p.Cut(true) },
		"disconnected": func(p *cachetest.Process) { p.Disconnect(true) },
	} {
		for _, window := range []time.Duration{0, time.Minute} {
			t.Run(fmt.Sprintf("%s, %s of revalidation", name, window), func(t *testing.T) {
				p := usual
				p.StaleWhileRevalidate = window
				synctest.Test(t, func(t *testing.T) {
					s := startProcesses(t, 2, p)
					h, key := newHeld(), cachetest.Key(t, "alice", 1)
					mustGet(t, s.caches[1], key, (&origin{now: time.Now}).returns("value"), "value", cache.FromOrigin)
					time.Sleep(ttl)
					start(t.Context(), s.caches[1], key, h.returns("new"))
					synctest.Wait()
					lose(s.links[1])
					time.Sleep(4 * time.Second)
					if err := s.caches[0].Revoke(t.Context(), key.ResourceID()); err != nil {
						t.Fatal(err)
					}
					d := start(t.Context(), s.caches[1], key, never(t))
					time.Sleep(2 * time.Second)
					select {
					case o := <-d:
						t.Errorf("got %q, stale %q, error %v", o.Value, o.Stale, o.err)
					default:
					}
					close(h.release)
					<-d
				})
			})
		}
	}
}

// TestDenialWithoutALease: a denial invalidates the older value even if its lease has lapsed or was never
// acquired.
func TestDenialWithoutALease(t *testing.T) {
	for name, inTheLoad := range map[string]bool{"lapsed during the load": true, "never acquired": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *processes) {
				h, o, key := newHeld(), &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
				mustGet(t, s.caches[0], key, o.returns("value"), "value", cache.FromOrigin)
				time.Sleep(ttl)
				s.links[0].Cut(!inTheLoad)
				d := start(t.Context(), s.caches[0], key, func(ctx context.Context) (cache.Entry[string], error) {
					_, _ = h.returns("")(ctx)
					return cache.Entry[string]{}, errDenied
				})
				time.Sleep(time.Second / 10)
				s.links[0].Cut(true)
				time.Sleep(3 * time.Second)
				s.links[0].Cut(false)
				close(h.release)
				<-d // it may have got the stale value after a second
				synctest.Wait()
				wantError(t, s.caches[0], key, never(t), errDenied)
				wantError(t, s.caches[1], key, o.fails(errUnavailable), errUnavailable)
			})
		})
	}
}

// TestValueThatDeniesWithoutALease: so does a value that is itself a denial.
func TestValueThatDeniesWithoutALease(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		mustGet(t, s.caches[0], key, o.returns("value"), "value", cache.FromOrigin)
		time.Sleep(ttl)
		s.links[0].Cut(true)
		mustGet(t, s.caches[0], key, func(context.Context) (cache.Entry[string], error) {
			s.links[0].Cut(false)
			return cache.Entry[string]{Value: "no", FetchedAt: time.Now(), Denial: true}, nil
		}, "no", cache.FromOrigin)
		wantError(t, s.caches[1], key, o.fails(errUnavailable), errUnavailable)
	})
}

// uncommitted is a Redis on which every commit fails.
type uncommitted struct{ *cachetest.Process }

func (uncommitted) Commit(context.Context, cache.Key, string, cache.Entry[string], time.Duration) (bool, error) {
	return false, cachetest.ErrDown
}

// TestUncommittedIsNotTrusted: Redis is asked about an entry whose commit failed, even by a process that is
// in sync.
func TestUncommittedIsNotTrusted(t *testing.T) {
	clock := cachetest.NewClock()
	var s steps
	c := newCache(clock.Now, newMemory(t, clock.Now), recordingRedis{uncommitted{cachetest.NewFakeRedis(keysOf(t, 1), clock.Now).Process()}, &s})
	key := cachetest.Key(t, "alice", 1)
	mustGet(t, c, key, (&origin{now: clock.Now}).returns("value"), "value", cache.FromOrigin)
	s.list = nil
	mustGet(t, c, key, never(t), "value", cache.FromMemory)
	if len(s.list) != 1 || s.list[0] != "read" {
		t.Errorf("steps: %q, want that Redis is read", s.list)
	}
}

// resubscribed is a Redis whose subscription is lost and replaced right after a commit, with a revocation in
// between.
type resubscribed struct {
	*cachetest.Process
	other *cachetest.Process
}

func (o resubscribed) Commit(ctx context.Context, key cache.Key, token string, e cache.Entry[string], ttl time.Duration) (bool, error) {
	revoked, err := o.Process.Commit(ctx, key, token, e, ttl)
	o.Disconnect(true)
	_ = o.other.Revoke(ctx, key.ResourceID(), time.Minute)
	o.Disconnect(false)
	return revoked, err
}

// TestRevocationBetweenTwoSubscriptions: an entry counts as confirmed under the subscription from before its
// load.
func TestRevocationBetweenTwoSubscriptions(t *testing.T) {
	clock := cachetest.NewClock()
	fake := cachetest.NewFakeRedis(keysOf(t, 1), clock.Now)
	c := newCache(clock.Now, newMemory(t, clock.Now), resubscribed{fake.Process(), fake.Process()})
	key := cachetest.Key(t, "alice", 1)
	mustGet(t, c, key, (&origin{now: clock.Now}).returns("value"), "value", cache.FromOrigin)
	wantError(t, c, key, never(t), cache.ErrRevoked)
}

// TestLeasesLost: a lease that ends with its load is not lost.
func TestLeasesLost(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		h, key := newHeld(), cachetest.Key(t, "alice", 1)
		d := start(t.Context(), s.caches[0], key, h.returns("value"))
		time.Sleep(3 * time.Second)
		close(h.release)
		<-d
		if n := s.caches[0].Stats().LeasesLost; n != 0 {
			t.Errorf("%d leases lost, want none", n)
		}
		h, key = newHeld(), cachetest.Key(t, "alice", 2)
		d = start(t.Context(), s.caches[0], key, h.returns("value"))
		synctest.Wait()
		s.fake.Empty()
		time.Sleep(time.Second)
		close(h.release)
		<-d
		if n := s.caches[0].Stats().LeasesLost; n != 1 {
			t.Errorf("%d leases lost, want 1", n)
		}
	})
}

// TestRevocationWhileCutOff: a process that is cut off from Redis uses an entry until it stops being fresh,
// whatever others revoke.
func TestRevocationWhileCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, s *processes) {
		o, key := &origin{now: time.Now}, cachetest.Key(t, "alice", 1)
		for _, c := range s.caches {
			if _, err := get(t, c, key, o.returns("value")); err != nil {
				t.Fatal(err)
			}
		}
		s.links[1].Cut(true)
		if err := s.caches[0].Revoke(t.Context(), key.ResourceID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl - 1)
		mustGet(t, s.caches[1], key, never(t), "value", cache.FromMemory)
		time.Sleep(time.Nanosecond)
		wantError(t, s.caches[1], key, o.fails(errDenied), errDenied)
		// Its own revocation has effect at once, but returns an error.
		s.links[2].Cut(true)
		other := cachetest.Key(t, "alice", 2)
		mustGet(t, s.caches[2], other, o.returns("value"), "value", cache.FromOrigin)
		if err := s.caches[2].Revoke(t.Context(), other.ResourceID()); !errors.Is(err, cachetest.ErrDown) {
			t.Errorf("got %v", err)
		}
		wantError(t, s.caches[2], other, never(t), cache.ErrRevoked)
	})
}

func TestRevocationWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, policy := range []cache.Policy{usual, {}} {
			c := newCacheOf(policy, time.Now, newMemory(t, time.Now), nil)
			h, key := newHeld(), cachetest.Key(t, "alice", 1)
			d := start(t.Context(), c, key, h.returns("value"))
			synctest.Wait()
			if err := c.Revoke(t.Context(), key.ResourceID()); err != nil {
				t.Fatal(err)
			}
			close(h.release)
			if o := <-d; !errors.Is(o.err, cache.ErrRevoked) {
				t.Errorf("got %q, error %v", o.Value, o.err)
			}
			wantError(t, c, key, never(t), cache.ErrRevoked)
		}
	})
}

// TestTenThousand: ten thousand cold reads of one key in three processes cause one load; without Redis, one
// for each process.
func TestTenThousand(t *testing.T) {
	const readers, each = 3, 10_000 / 3
	server := cachetest.StartRedis(t)
	var caches []*cache.Cache[string]
	for range readers {
		caches = append(caches, newCacheOf(usual, time.Now, newMemory(t, time.Now), newRedis(t, server.URL(), keysOf(t, 1))))
	}
	stampede := func(key cache.Key) int64 {
		h := newHeld()
		var wg, asked sync.WaitGroup
		for _, c := range caches {
			for range each {
				asked.Add(1)
				wg.Go(func() {
					asked.Done()
					if r, err := c.Get(context.Background(), key, h.returns("value")); err != nil || r.Value != "value" {
						t.Errorf("got %q, error %v", r.Value, err)
					}
				})
			}
		}
		asked.Wait()
		cachetest.Eventually(t, "a load runs", func() bool { return h.loads.Load() > 0 })
		close(h.release)
		wg.Wait()
		return h.loads.Load()
	}
	for id := range int32(5) {
		if n := stampede(cachetest.Key(t, "alice", id+1)); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	}
	server.Kill()
	if n := stampede(cachetest.Key(t, "alice", 100)); n < 1 || n > readers {
		t.Errorf("%d loads without Redis, want at most %d", n, readers)
	}
}

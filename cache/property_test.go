package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

var errForbidden = errors.New("forbidden")

// world is an origin whose callers see different things, with caches of several processes over one
// Redis. It draws operations at random and checks every answer.
type world struct {
	*stored
	t       *testing.T
	rand    *rand.Rand
	policy  cache.Policy
	caches  []*cache.Cache[string] // that run now
	ever    []*cache.Cache[string] // and those that ran before
	version map[int32]int
}

// sees: alice sees every row, bob only the even ones, and in his own words.
func sees(caller string, id int32) bool { return caller == "alice" || id%2 == 0 }

func (w *world) load(caller string, id int32) cache.Loader[string] {
	return func(context.Context) (cache.Entry[string], error) {
		if !sees(caller, id) {
			return cache.Entry[string]{}, errForbidden
		}
		now := w.clock.Now()
		e := cache.Entry[string]{FetchedAt: now}
		ends := time.Duration(w.rand.IntN(10)-1) * time.Second // now and then before the fetch
		if w.rand.IntN(2) == 0 {
			e.EndsAt = now.Add(ends)
		}
		if ends <= 0 || e.EndsAt.IsZero() {
			ends = time.Hour
		}
		e.Value = fmt.Sprintf("%s|%d|%d|%d|%d|%s", caller, id, w.version[id], now.UnixMicro(), now.Add(ends).UnixMicro(),
			strings.Repeat("x", w.rand.IntN(2000)))
		return e, nil
	}
}

// newCache makes a process with a memory so small that it keeps evicting.
func (w *world) newCache() *cache.Cache[string] {
	m, err := cache.NewMemory(4000, func(s string) int { return len(s) }, w.clock.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = m.Close() })
	c := newCacheOf(w.policy, w.clock.Now, m, w.store)
	w.ever = append(w.ever, c)
	return c
}

func (w *world) step() {
	switch n := w.rand.IntN(100); {
	case n < 75:
		w.read()
	case n < 87:
		w.clock.Advance(time.Duration(w.rand.IntN(2000)) * time.Millisecond)
	case n < 94:
		w.version[int32(w.rand.IntN(4)+1)]++
	case n < 97:
		w.caches[w.rand.IntN(len(w.caches))] = w.newCache()
	case n < 98:
		w.swapNames()
	default:
		if err := w.client.FlushAll(w.t.Context()).Err(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) read() {
	caller, id := [...]string{"alice", "bob"}[w.rand.IntN(2)], int32(w.rand.IntN(4)+1)
	r, err := w.caches[w.rand.IntN(len(w.caches))].Get(w.t.Context(), cachetest.Key(w.t, caller, id), w.load(caller, id))
	if !sees(caller, id) {
		if !errors.Is(err, errForbidden) || r.Value != "" {
			w.t.Fatalf("%s sees row %d: %.40q, error %v", caller, id, r.Value, err)
		}
		return
	}
	if err != nil {
		w.t.Fatalf("%s, row %d: %v", caller, id, err)
	}
	var version int
	var fetched, ends int64
	value := strings.ReplaceAll(r.Value, "|", " ")
	if !strings.HasPrefix(value, fmt.Sprintf("%s %d ", caller, id)) {
		w.t.Fatalf("%s, row %d: got %.40q", caller, id, r.Value)
	}
	if _, err := fmt.Sscanf(strings.TrimPrefix(value, caller), "%d %d %d %d", new(int), &version, &fetched, &ends); err != nil {
		w.t.Fatalf("%.40q: %v", r.Value, err)
	}
	now := w.clock.Now()
	if age := now.Sub(time.UnixMicro(fetched)); age > 0 && age >= w.policy.TTL || age > 0 && !now.Before(time.UnixMicro(ends)) {
		w.t.Fatalf("%s, row %d, version %d: given out %s after the fetch, %s after its end",
			caller, id, version, age, now.Sub(time.UnixMicro(ends)))
	}
	if r.Source == cache.Loaded && version != w.version[id] {
		w.t.Fatalf("%s, row %d: loaded version %d, want %d", caller, id, version, w.version[id])
	}
}

// swapNames is an attacker who can write to Redis: two values change places.
func (w *world) swapNames() {
	all := names(w.t, w.client)
	if len(all) < 2 {
		return
	}
	one, two := all[w.rand.IntN(len(all))], all[w.rand.IntN(len(all))]
	a, errA := w.client.Get(w.t.Context(), one).Bytes()
	b, errB := w.client.Get(w.t.Context(), two).Bytes()
	if errA != nil || errB != nil {
		return // gone in the meantime
	}
	w.client.Set(w.t.Context(), one, b, time.Minute)
	w.client.Set(w.t.Context(), two, a, time.Minute)
}

// TestCallersNeverSeeEachOther draws thousands of operations. What two callers see never mixes, and
// nothing is given out after its time.
func TestCallersNeverSeeEachOther(t *testing.T) {
	s := newStored(t)
	seeds := []uint64{1, 2, 3, 4, rand.Uint64()} //nolint:gosec // a fresh one each time; the name shows it
	for _, seed := range seeds {
		for name, policy := range storing {
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				w := &world{
					stored: s, t: t, rand: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // to be repeatable
					policy: policy, version: map[int32]int{},
				}
				w.caches = []*cache.Cache[string]{w.newCache(), w.newCache(), w.newCache()}
				for range 1000 {
					w.step()
				}
				var sum cache.Stats
				for _, c := range w.ever {
					sum.FirstHits += c.Stats().FirstHits
					sum.SecondHits += c.Stats().SecondHits
				}
				if hits := sum.FirstHits > 0 && sum.SecondHits > 0; hits != (policy.TTL > 0) {
					t.Errorf("hits: %+v with a ttl of %s", sum, policy.TTL)
				}
			})
		}
	}
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

const (
	callersDrawn = 2
	rowsDrawn    = 3
)

// model draws a history of reads by two callers who see different things, in processes over one
// Redis that start anew, evict, lose each other and lose Redis, while the origin changes and fails.
// It knows what each read may answer.
type model struct {
	t      *rapid.T
	clock  clock
	policy cache.Policy
	// settle waits for what goes on in the background.
	settle func()
	// telling gives a function that waits until a process knows of the revocation to come. One that does
	// not hear by now asks Redis, and need not be told.
	telling func(n int) (wait func())
	// second makes a process's Redis, down cuts a process off and back.
	second  func(n int) cache.Shared
	cut     func(n int, off bool)
	spoil   func(t *rapid.T)
	caches  []*cache.Cache[string]
	off     []bool
	down    error // of the origin
	visible map[string]bool
	version int
	dead    map[int32]bool
	// refused is when the origin last refused a row to a caller.
	refused map[string]time.Time
	marked  []marked
}

// marked is something that was made of a read and is kept by a process.
type marked struct {
	process int
	caller  string
	id      int32
	value   string
	mark    cache.Dependency
}

type clock interface {
	Now() time.Time
	Advance(d time.Duration)
}

// bubbleClock is the clock of a synctest bubble.
type bubbleClock struct{}

func (bubbleClock) Now() time.Time          { return time.Now() }
func (bubbleClock) Advance(d time.Duration) { time.Sleep(d) }

// saying is what a row says: whose it is, which version, when it was fetched and when it ends.
type saying struct {
	caller                  string
	id                      int32
	version                 int
	fetched, ends, freshFor int64
}

func (v saying) String() string {
	return fmt.Sprintf("%s %d %d %d %d %d ", v.caller, v.id, v.version, v.fetched, v.ends, v.freshFor)
}

func parseSaying(s string) (v saying, err error) {
	_, err = fmt.Sscan(s, &v.caller, &v.id, &v.version, &v.fetched, &v.ends, &v.freshFor)
	return v, err
}

func place(caller string, id int32) string { return fmt.Sprint(caller, "/", id) }

func (m *model) drawRow() (string, int32) {
	return rapid.SampledFrom([]string{"alice", "bob"}[:callersDrawn]).Draw(m.t, "caller"), rapid.Int32Range(1, rowsDrawn).Draw(m.t, "row")
}

// load is the origin: what it says now, and that it said so.
func (m *model) load(caller string, id int32) cache.Loader[string] {
	freshOnly := rapid.IntRange(0, 4).Draw(m.t, "fresh only") == 0
	ends, size := rapid.IntRange(-1, 12).Draw(m.t, "ends"), rapid.IntRange(0, 1500).Draw(m.t, "size")
	return func(context.Context) (cache.Entry[string], error) {
		now := m.clock.Now()
		switch {
		case m.down != nil:
			if errors.Is(m.down, errUnauthenticated) {
				m.refused[place(caller, id)] = now
			}
			return cache.Entry[string]{}, m.down
		case m.dead[id], !m.visible[place(caller, id)]:
			m.refused[place(caller, id)] = now
			return cache.Entry[string]{}, errDenied
		}
		e := cache.Entry[string]{FetchedAt: now, FreshOnly: freshOnly}
		v := saying{caller, id, m.version, now.UnixMicro(), 0, 0}
		if ends < 12 {
			e.EndsAt = now.Add(time.Duration(ends) * time.Second)
			v.ends = e.EndsAt.UnixMicro()
		}
		if e.FreshOnly {
			v.freshFor = 1
		}
		e.Value = v.String() + strings.Repeat("x", size)
		return e, nil
	}
}

// boot makes a process anew, with a memory so small that it evicts.
func (m *model) boot(n int) {
	memory, err := cache.NewMemory(4000, m.clock.Now)
	if err != nil {
		m.t.Fatal(err)
	}
	if m.caches[n] != nil {
		_ = m.caches[n].Close(context.Background())
	}
	m.marked = slices.DeleteFunc(m.marked, func(kept marked) bool { return kept.process == n })
	m.caches[n] = newCacheOf(m.policy, m.clock.Now, memory, m.second(n))
}

func (m *model) read() {
	caller, id := m.drawRow()
	n := rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")
	refused, wasRefused := m.refused[place(caller, id)]
	r, err := m.caches[n].Get(context.Background(), cachetest.Key(nil, caller, id), m.load(caller, id))
	now := m.clock.Now()
	m.settle()
	if err != nil {
		if r != (cache.Result[string]{}) {
			m.t.Fatalf("%v with an error %v", r, err)
		}
		if errors.Is(err, cache.ErrRevoked) && !m.dead[id] {
			m.t.Fatalf("row %d is revoked, and lives", id)
		}
		return
	}
	v, err := parseSaying(r.Value)
	if err != nil {
		m.t.Fatalf("%.60q: %v", r.Value, err)
	}
	if v.caller != caller || v.id != id {
		m.t.Fatalf("%s reads row %d and sees %v", caller, id, v)
	}
	m.marked = append(m.marked, marked{n, caller, id, r.Value, r.Dependency()})
	fetched, age := time.UnixMicro(v.fetched), now.Sub(time.UnixMicro(v.fetched))
	stale := r.Stale != cache.NotStale
	switch ends := time.UnixMicro(v.ends); {
	case !stale && age >= m.policy.TTL && r.Source != cache.FromOrigin:
		m.t.Fatalf("%v is given out as fresh %s after its fetch", v, age)
	case stale && age >= m.policy.TTL+max(m.policy.StaleIfError, m.policy.StaleWhileRevalidate):
		m.t.Fatalf("%v is given out stale %s after its fetch", v, age)
	case r.Source != cache.FromOrigin && v.ends > v.fetched && !now.Before(ends):
		m.t.Fatalf("%v is given out %s past its end", v, now.Sub(ends))
	case stale && v.freshFor == 1:
		m.t.Fatalf("%v is given out stale", v)
	case m.dead[id] && !m.off[n]:
		m.t.Fatalf("row %d is dead: %v from %d", id, v, r.Source)
	case m.dead[id] && stale:
		m.t.Fatalf("row %d is dead, and given out stale", id)
	}
	// Within the window of revalidation a process answers from its memory at once, and learns of a
	// refusal to another one by the flight that it starts.
	knows := r.Stale == cache.StaleIfError || len(m.caches) == 1
	if wasRefused && stale && knows && fetched.Before(refused) && !m.anyOff() {
		m.t.Fatalf("%v is given out stale, and was refused %s after its fetch", v, refused.Sub(fetched))
	}
}

// keep checks that what stands is what a read gives out of the process's memory.
func (m *model) keep() {
	for _, kept := range m.marked {
		c := m.caches[kept.process]
		if !c.Valid(kept.mark, m.clock.Now()) {
			continue
		}
		r, err := c.Get(context.Background(), cachetest.Key(nil, kept.caller, kept.id), func(context.Context) (cache.Entry[string], error) {
			return cache.Entry[string]{}, errFailed
		})
		if err != nil || r.Value != kept.value || r.Stale != cache.NotStale || r.Source != cache.FromMemory {
			m.t.Fatalf("%.60q stands, and a read gives %v, %v", kept.value, r, err)
		}
	}
}

// anyOff tells whether some process has been cut off: what it learned then others do not know.
func (m *model) anyOff() bool { return m.off[len(m.off)-1] || slices.Contains(m.off, true) }

func (m *model) actions() map[string]func(*rapid.T) {
	draw := func(what string, do func()) map[string]func(*rapid.T) {
		return map[string]func(*rapid.T){what: func(t *rapid.T) { m.t = t; do() }}
	}
	all := map[string]func(*rapid.T){}
	for _, more := range []map[string]func(*rapid.T){
		draw("read", m.read),
		draw("read again", m.read),
		draw("read once more", m.read),
		draw("what was made of reads is used", m.keep),
		draw("time passes", func() {
			m.clock.Advance(time.Duration(rapid.IntRange(1, 2500).Draw(m.t, "ms")) * time.Millisecond)
		}),
		draw("the rows change", func() { m.version++ }),
		draw("a permission changes", func() {
			at := place(m.drawRow())
			m.visible[at] = !m.visible[at]
		}),
		draw("the origin fails or heals", func() {
			m.down = rapid.SampledFrom([]error{nil, nil, errUnavailable, errUnavailable, errFailed, errUnauthenticated}).Draw(m.t, "how")
		}),
		draw("a process starts anew", func() { m.boot(rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")) }),
		draw("a process loses or finds Redis", func() {
			n := rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")
			if m.cut != nil {
				m.off[n] = !m.off[n]
				m.cut(n, m.off[n])
			}
		}),
		draw("a row is revoked", func() {
			n := rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")
			if rapid.IntRange(0, 5).Draw(m.t, "rarely") > 0 || m.off[n] {
				return
			}
			id := rapid.Int32Range(1, rowsDrawn).Draw(m.t, "row")
			var waits []func()
			for n := range m.caches {
				waits = append(waits, m.telling(n))
			}
			if m.caches[n].Revoke(context.Background(), cachetest.Key(nil, "alice", id).ResourceID()) == nil {
				m.dead[id] = true
				for _, wait := range waits {
					wait()
				}
			}
		}),
		draw("somebody writes to Redis", func() {
			if m.spoil != nil {
				m.spoil(m.t)
			}
		}),
	} {
		maps.Copy(all, more)
	}
	return all
}

func newModel(t *rapid.T, clock clock, processes int) *model {
	second := func(n int) time.Duration { return time.Duration(rapid.IntRange(0, n).Draw(t, "seconds")) * time.Second }
	return &model{
		t: t, clock: clock, settle: func() {}, telling: func(int) func() { return func() {} },
		policy:  cache.Policy{TTL: second(5), StaleWhileRevalidate: second(3), StaleIfError: second(20), NegativeTTL: second(3)},
		caches:  make([]*cache.Cache[string], processes),
		off:     make([]bool, processes+1),
		visible: map[string]bool{"alice/1": true, "alice/2": true, "alice/3": true, "bob/2": true},
		dead:    map[int32]bool{},
		refused: map[string]time.Time{},
	}
}

func (m *model) run(t *rapid.T) {
	for n := range m.caches {
		m.boot(n)
	}
	defer func() {
		for n := range m.caches {
			_ = m.caches[n].Close(context.Background())
		}
	}()
	t.Repeat(m.actions())
}

// TestCallersNeverSeeEachOther draws histories of three processes over a double of Redis, with every
// fault there is, and one process without Redis.
func TestCallersNeverSeeEachOther(t *testing.T) {
	keys := keysOf(t, 1)
	t.Run("redis", func(t *testing.T) {
		checkInBubble(t, func(t *rapid.T) {
			fake := cachetest.NewFakeRedis(keys, time.Now)
			m := newModel(t, bubbleClock{}, 3)
			m.settle = synctest.Wait
			links := make([]*cachetest.Process, 3)
			m.second = func(n int) cache.Shared {
				links[n] = fake.Process()
				links[n].Cut(m.off[n])
				return links[n]
			}
			m.cut = func(n int, off bool) {
				links[n].Cut(off)
				m.off[len(m.off)-1] = true // what was learned while cut off stays unknown to others
			}
			m.run(t)
		})
	})
	t.Run("memory", func(t *testing.T) {
		checkInBubble(t, func(t *rapid.T) {
			m := newModel(t, bubbleClock{}, 1)
			m.settle = synctest.Wait
			m.second = func(int) cache.Shared { return nil }
			m.run(t)
		})
	})
	t.Run("a real Redis", func(t *testing.T) {
		server := cachetest.StartRedis(t)
		client := newClient(t, server)
		rapid.Check(t, func(rt *rapid.T) {
			flush(t, client)
			m := newModel(rt, cachetest.NewClock(), 2)
			m.policy.StaleWhileRevalidate = 0 // its background cannot be waited for here
			stores := make([]*cache.Redis, 2)
			m.second = func(n int) cache.Shared {
				stores[n] = newRedis(t, server.URL(), keys)
				return stores[n]
			}
			m.telling = func(n int) func() {
				c, store := m.caches[n], stores[n]
				subscription, heard := store.Subscription(), c.Stats().RevocationsReceived
				if !store.InSync(subscription) {
					return func() {}
				}
				return func() {
					cachetest.Eventually(t, "the process knows", func() bool {
						return c.Stats().RevocationsReceived > heard || !store.InSync(subscription)
					})
				}
			}
			m.spoil = func(rt *rapid.T) { shuffle(t, rt, client) }
			m.run(rt)
		})
	})
}

// checkInBubble draws each history in a bubble of its own. rapid ends a history by a panic, which
// has to leave the bubble.
func checkInBubble(t *testing.T, history func(*rapid.T)) {
	rapid.Check(t, func(rt *rapid.T) {
		var end any
		synctest.Test(t, func(*testing.T) {
			defer func() { end = recover() }()
			history(rt)
		})
		if end != nil {
			panic(end)
		}
	})
}

// shuffle is an attacker who can write to Redis: two names change their content. That he can also
// dig up a tombstone is not denied here.
func shuffle(t *testing.T, rt *rapid.T, client *redis.Client) {
	all := slices.DeleteFunc(redisKeys(t, client), func(name string) bool { return strings.HasSuffix(name, "}x") })
	slices.Sort(all)
	if len(all) < 2 {
		return
	}
	one, two := rapid.SampledFrom(all).Draw(rt, "one name"), rapid.SampledFrom(all).Draw(rt, "another")
	a, errA := client.Get(context.Background(), one).Bytes()
	b, errB := client.Get(context.Background(), two).Bytes()
	if errA != nil || errB != nil {
		return // gone in the meantime
	}
	client.Set(context.Background(), one, b, time.Minute)
	client.Set(context.Background(), two, a, time.Minute)
}

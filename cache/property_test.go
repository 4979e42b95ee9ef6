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
	callersDrawn   = 2
	resourcesDrawn = 3
	denied         = -1 // the version of a value that is a denial
)

// model draws histories of reads by two callers with different permissions. The processes share Redis,
// restart, evict, miss notifications and lose Redis, while the origin changes and fails. The model knows what
// each read may return.
type model struct {
	t      *rapid.T
	clock  clock
	policy cache.Policy
	// idle waits for background work.
	idle func()
	// notified returns a function that waits until a process is notified of the next revocation. A process
	// that is not in sync asks Redis anyway.
	notified func(n int) (wait func())
	// redis connects a process to Redis, cut cuts it off or reconnects it.
	redis   func(n int) cache.Shared
	cut     func(n int, off bool)
	spoil   func(t *rapid.T)
	caches  []*cache.Cache[string]
	off     []bool
	down    error // what the origin fails with
	visible map[string]bool
	version int
	dead    map[int32]bool
	// refused is when the origin last denied a resource to a caller.
	refused map[string]time.Time
	kept    []kept
}

// kept is a read on which something that a process keeps depends.
type kept struct {
	process int
	caller  string
	id      int32
	value   string
	on      cache.Dependency
}

type clock interface {
	Now() time.Time
	Advance(d time.Duration)
}

// bubbleClock is the clock of a synctest bubble.
type bubbleClock struct{}

func (bubbleClock) Now() time.Time          { return time.Now() }
func (bubbleClock) Advance(d time.Duration) { time.Sleep(d) }

// content is what a value says: its caller, resource and version, when it was fetched and when it ends.
type content struct {
	caller                  string
	id                      int32
	version                 int
	fetched, ends, freshFor int64
}

func (v content) String() string {
	return fmt.Sprintf("%s %d %d %d %d %d ", v.caller, v.id, v.version, v.fetched, v.ends, v.freshFor)
}

func parseContent(s string) (v content, err error) {
	_, err = fmt.Sscan(s, &v.caller, &v.id, &v.version, &v.fetched, &v.ends, &v.freshFor)
	return v, err
}

func place(caller string, id int32) string { return fmt.Sprint(caller, "/", id) }

func (m *model) drawResource() (string, int32) {
	return rapid.SampledFrom([]string{"alice", "bob"}[:callersDrawn]).Draw(m.t, "caller"), rapid.Int32Range(1, resourcesDrawn).Draw(m.t, "resource")
}

// load makes a loader for the present state of the origin.
func (m *model) load(caller string, id int32) cache.Loader[string] {
	freshOnly := rapid.IntRange(0, 4).Draw(m.t, "fresh only") == 0
	ends, size := rapid.IntRange(-1, 12).Draw(m.t, "ends"), rapid.IntRange(0, 1500).Draw(m.t, "size")
	return func(context.Context) (cache.Entry[string], error) {
		now := m.clock.Now()
		switch {
		case m.down != nil:
			if errors.Is(m.down, errUnauthenticated) || errors.Is(m.down, errRefused) {
				m.refused[place(caller, id)] = now
			}
			return cache.Entry[string]{}, m.down
		case m.dead[id], !m.visible[place(caller, id)]:
			m.refused[place(caller, id)] = now
			if id == resourcesDrawn && !m.dead[id] { // of which a denial is a value
				v := content{caller, id, denied, now.UnixMicro(), 0, 0}
				return cache.Entry[string]{Value: v.String(), FetchedAt: now, Denial: true}, nil
			}
			return cache.Entry[string]{}, errDenied
		}
		e := cache.Entry[string]{FetchedAt: now, FreshOnly: freshOnly}
		v := content{caller, id, m.version, now.UnixMicro(), 0, 0}
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

// boot restarts a process, with a memory so small that it evicts.
func (m *model) boot(n int) {
	memory, err := cache.NewMemory(4000, m.clock.Now)
	if err != nil {
		m.t.Fatal(err)
	}
	if m.caches[n] != nil {
		_ = m.caches[n].Close(context.Background())
	}
	m.kept = slices.DeleteFunc(m.kept, func(k kept) bool { return k.process == n })
	m.caches[n] = newCacheOf(m.policy, m.clock.Now, memory, m.redis(n))
}

func (m *model) read() {
	caller, id := m.drawResource()
	n := rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")
	refused, wasRefused := m.refused[place(caller, id)]
	r, err := m.caches[n].Get(context.Background(), cachetest.Key(nil, caller, id), m.load(caller, id))
	now := m.clock.Now()
	m.idle()
	if err != nil {
		if r != (cache.Result[string]{}) {
			m.t.Fatalf("%v with an error %v", r, err)
		}
		if errors.Is(err, cache.ErrRevoked) && !m.dead[id] {
			m.t.Fatalf("resource %d is reported as revoked, but exists", id)
		}
		return
	}
	v, err := parseContent(r.Value)
	if err != nil {
		m.t.Fatalf("%.60q: %v", r.Value, err)
	}
	if v.caller != caller || v.id != id {
		m.t.Fatalf("%s reads resource %d and sees %v", caller, id, v)
	}
	m.kept = append(m.kept, kept{n, caller, id, r.Value, r.Dependency()})
	fetched, age := time.UnixMicro(v.fetched), now.Sub(time.UnixMicro(v.fetched))
	stale := r.Stale != cache.NotStale
	switch ends := time.UnixMicro(v.ends); {
	case !stale && age >= m.policy.TTL && r.Source != cache.FromOrigin:
		m.t.Fatalf("%v is returned as fresh %s after its fetch", v, age)
	case stale && age >= m.policy.TTL+max(m.policy.StaleIfError, m.policy.StaleWhileRevalidate):
		m.t.Fatalf("%v is returned stale %s after its fetch", v, age)
	case r.Source != cache.FromOrigin && v.ends > v.fetched && !now.Before(ends):
		m.t.Fatalf("%v is returned %s past its end", v, now.Sub(ends))
	case stale && v.freshFor == 1:
		m.t.Fatalf("%v is returned stale", v)
	case m.dead[id] && !m.off[n]:
		m.t.Fatalf("resource %d is revoked: %v from %d", id, v, r.Source)
	case m.dead[id] && stale:
		m.t.Fatalf("resource %d is revoked, but returned stale", id)
	}
	// Within the window of revalidation a process returns the value from memory at once. Only the flight that
	// it starts then learns of a denial to another process.
	knows := r.Stale == cache.StaleIfError || len(m.caches) == 1
	if wasRefused && stale && knows && fetched.Before(refused) && !m.anyOff() {
		m.t.Fatalf("%v is returned stale, but was denied %s after its fetch", v, refused.Sub(fetched))
	}
}

// keep checks that valid dependencies are what reads return from memory.
func (m *model) keep() {
	for _, kept := range m.kept {
		c := m.caches[kept.process]
		if !c.Valid(kept.on, m.clock.Now()) {
			continue
		}
		r, err := c.Get(context.Background(), cachetest.Key(nil, kept.caller, kept.id), func(context.Context) (cache.Entry[string], error) {
			return cache.Entry[string]{}, errFailed
		})
		if err != nil || r.Value != kept.value || r.Stale != cache.NotStale || r.Source != cache.FromMemory {
			m.t.Fatalf("%.60q is valid, but a read returns %v, %v", kept.value, r, err)
		}
	}
}

// anyOff reports whether a process was ever cut off: others do not know what it learned meanwhile.
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
		draw("dependencies are checked", m.keep),
		draw("time passes", func() {
			m.clock.Advance(time.Duration(rapid.IntRange(1, 2500).Draw(m.t, "ms")) * time.Millisecond)
		}),
		draw("the resources change", func() { m.version++ }),
		draw("a permission changes", func() {
			at := place(m.drawResource())
			m.visible[at] = !m.visible[at]
		}),
		draw("the origin fails or recovers", func() {
			m.down = rapid.SampledFrom([]error{nil, nil, errUnavailable, errUnavailable, errFailed, errUnauthenticated, errRefused}).Draw(m.t, "how")
		}),
		draw("a process restarts", func() { m.boot(rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")) }),
		draw("a process is cut off or reconnected", func() {
			n := rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")
			if m.cut != nil {
				m.off[n] = !m.off[n]
				m.cut(n, m.off[n])
			}
		}),
		draw("a resource is revoked", func() {
			n := rapid.IntRange(0, len(m.caches)-1).Draw(m.t, "process")
			if rapid.IntRange(0, 5).Draw(m.t, "rarely") > 0 || m.off[n] {
				return
			}
			id := rapid.Int32Range(1, resourcesDrawn).Draw(m.t, "resource")
			var waits []func()
			for n := range m.caches {
				waits = append(waits, m.notified(n))
			}
			if m.caches[n].Revoke(context.Background(), cachetest.Key(nil, "alice", id).ResourceID()) == nil {
				m.dead[id] = true
				for _, wait := range waits {
					wait()
				}
			}
		}),
		draw("values in Redis are swapped", func() {
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
		t: t, clock: clock, idle: func() {}, notified: func(int) func() { return func() {} },
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

// TestCallersNeverSeeEachOther draws histories of three processes that share a fake Redis, with all faults;
// of one process without Redis; and of two that share a real Redis.
func TestCallersNeverSeeEachOther(t *testing.T) {
	keys := keysOf(t, 1)
	t.Run("redis", func(t *testing.T) {
		checkInBubble(t, func(t *rapid.T) {
			fake := cachetest.NewFakeRedis(keys, time.Now)
			m := newModel(t, bubbleClock{}, 3)
			m.idle = synctest.Wait
			links := make([]*cachetest.Process, 3)
			m.redis = func(n int) cache.Shared {
				links[n] = fake.Process()
				links[n].Cut(m.off[n])
				return links[n]
			}
			m.cut = func(n int, off bool) {
				links[n].Cut(off)
				m.off[len(m.off)-1] = true // others never learn what was learned while cut off
			}
			m.run(t)
		})
	})
	t.Run("memory", func(t *testing.T) {
		checkInBubble(t, func(t *rapid.T) {
			m := newModel(t, bubbleClock{}, 1)
			m.idle = synctest.Wait
			m.redis = func(int) cache.Shared { return nil }
			m.run(t)
		})
	})
	t.Run("a real Redis", func(t *testing.T) {
		server := cachetest.StartRedis(t)
		client := newClient(t, server)
		rapid.Check(t, func(rt *rapid.T) {
			flush(t, client)
			m := newModel(rt, cachetest.NewClock(), 2)
			m.policy.StaleWhileRevalidate = 0 // its background work cannot be waited for here
			stores := make([]*cache.Redis, 2)
			m.redis = func(n int) cache.Shared {
				stores[n] = newRedis(t, server.URL(), keys)
				return stores[n]
			}
			m.notified = func(n int) func() {
				c, store := m.caches[n], stores[n]
				subscription, received := store.Subscription(), c.Stats().RevocationsReceived
				if !store.InSync(subscription) {
					return func() {}
				}
				return func() {
					cachetest.Eventually(t, "the process is notified", func() bool {
						return c.Stats().RevocationsReceived > received || !store.InSync(subscription)
					})
				}
			}
			m.spoil = func(rt *rapid.T) { shuffle(t, rt, client) }
			m.run(rt)
		})
	})
}

// checkInBubble draws each history in a bubble of its own. rapid ends a history by a panic, which is passed
// on.
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

// shuffle acts as an attacker with write access to Redis, who swaps two values. Deleting a tombstone is
// excluded: an attacker can do that.
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
		return // lapsed meanwhile
	}
	client.Set(context.Background(), one, b, time.Minute)
	client.Set(context.Background(), two, a, time.Minute)
}

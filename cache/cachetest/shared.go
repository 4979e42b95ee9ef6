package cachetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/cache"
)

// SharedHarness is an empty shared store under test, seen by two processes.
type SharedHarness struct {
	One, Two cache.Shared
	// Pass makes d pass for what the store keeps.
	Pass func(t testing.TB, d time.Duration)
	// Keys are those of both processes.
	Keys *cache.Keys
}

// SharedConformance checks what only shared stores guarantee. open returns an empty store for each case and
// arranges for it to be closed.
func SharedConformance(t *testing.T, open func(t *testing.T) SharedHarness) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, h SharedHarness)
	}{
		{"a lease has one owner", testOneOwner},
		{"callers do not share leases", testLeaseIsolation},
		{"a lease that is not renewed lapses", testLeaseLapses},
		{"a renewed lease does not lapse", testLeaseRenewed},
		{"a lost lease commits nothing", testLostLease},
		{"a commit stores the value and frees the lease", testCommitValue},
		{"a failure is kept beside the value", testCommitFailure},
		{"a value deletes the failure", testValueEndsFailure},
		{"a commit of nothing only frees the lease", testCommitNothing},
		{"one of many acquires the lease", testLeaseRace},
		{"the lease can be acquired only if nothing is found", testOnlyIfMissing},
		{"a revoked resource has no entries, for any caller", testRevoke},
		{"no outcome of a revoked resource is stored", testCommitRevoked},
		{"a tombstone lapses after its ttl", testTombstoneLapses},
		{"all processes are notified of a revocation", testNotified},
		{"a revocation starts another list version", testListVersion},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func acquire(t *testing.T, s cache.Shared, key cache.Key, token string, want bool) cache.View {
	t.Helper()
	return acquireIfMissing(t, s, key, token, false, want)
}

func acquireIfMissing(t *testing.T, s cache.Shared, key cache.Key, token string, onlyIfMissing, want bool) cache.View {
	t.Helper()
	var v cache.View
	err := patiently(func() (err error) {
		v, err = s.Acquire(t.Context(), key, token, onlyIfMissing)
		return err
	})
	if err != nil || v.Acquired != want || v.Untrusted != 0 {
		t.Fatalf("acquire for %s: acquired %t, %d untrusted, error %v; want acquired %t", token, v.Acquired, v.Untrusted, err, want)
	}
	return v
}

func commit(t *testing.T, s cache.Shared, key cache.Key, token string, e cache.Entry[string], ttl time.Duration, wantRevoked bool) {
	t.Helper()
	var revoked bool
	err := patiently(func() (err error) {
		revoked, err = s.Commit(t.Context(), key, token, e, ttl)
		return err
	})
	if err != nil || revoked != wantRevoked {
		t.Fatalf("commit for %s: revoked %t, error %v; want %t", token, revoked, err, wantRevoked)
	}
}

func read(t *testing.T, s cache.Shared, key cache.Key) cache.View {
	t.Helper()
	var v cache.View
	err := patiently(func() (err error) {
		v, err = s.Read(t.Context(), key)
		return err
	})
	if err != nil || v.Acquired || v.Untrusted != 0 {
		t.Fatalf("read: %+v, error %v", v, err)
	}
	return v
}

func revoke(t *testing.T, s cache.Shared, id cache.ResourceID, ttl time.Duration) {
	t.Helper()
	if err := patiently(func() error { return s.Revoke(t.Context(), id, ttl) }); err != nil {
		t.Fatalf("revoke: %v", err)
	}
}

func failure(text string) cache.Entry[string] {
	return cache.Entry[string]{Err: Error(text), Outcome: cache.Unavailable, FetchedAt: fetched}
}

func testOneOwner(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	acquire(t, h.One, key, "one", true)
	acquire(t, h.Two, key, "two", false)
	acquire(t, h.One, key, "one", true) // which has it already
	commit(t, h.Two, key, "two", entry("thief"), time.Minute, false)
	acquire(t, h.Two, key, "two", false)
	if v := read(t, h.Two, key); v.Found {
		t.Errorf("stored %q without the lease", v.Entry.Value)
	}
	commit(t, h.One, key, "one", entry("value"), time.Minute, false)
	refusal := cache.Entry[string]{Err: Error("no"), Outcome: cache.Refused, FetchedAt: fetched}
	commit(t, h.Two, key, "two", refusal, time.Minute, false)
	if v := read(t, h.Two, key); v.Entry.Value != "value" {
		t.Error("a refusal without the lease ends a value")
	}
}

func testLeaseIsolation(t *testing.T, h SharedHarness) {
	acquire(t, h.One, Key(t, "alice", 1), "one", true)
	acquire(t, h.Two, Key(t, "bob", 1), "two", true)
	acquire(t, h.Two, Key(t, "alice", 2), "two", true)
}

func testLeaseLapses(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	acquire(t, h.One, key, "one", true)
	h.Pass(t, leaseTTL)
	if acquired, err := h.One.Renew(t.Context(), key, "one"); err != nil || acquired {
		t.Errorf("a lapsed lease is renewed, error %v", err)
	}
	acquire(t, h.Two, key, "two", true)
}

func testLeaseRenewed(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	acquire(t, h.One, key, "one", true)
	for range 4 {
		h.Pass(t, leaseTTL/2)
		if acquired, err := h.One.Renew(t.Context(), key, "one"); err != nil || !acquired {
			t.Fatalf("acquired %t, error %v", acquired, err)
		}
		if acquired, err := h.Two.Renew(t.Context(), key, "two"); err != nil || acquired {
			t.Fatalf("with another token: acquired %t, error %v", acquired, err)
		}
	}
	acquire(t, h.Two, key, "two", false)
}

func testLostLease(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	acquire(t, h.One, key, "one", true)
	h.Pass(t, leaseTTL)
	acquire(t, h.Two, key, "two", true)
	commit(t, h.Two, key, "two", entry("newer"), time.Minute, false)
	commit(t, h.One, key, "one", entry("older"), time.Minute, false)
	if v := read(t, h.One, key); v.Entry.Value != "newer" {
		t.Errorf("got %q: a load that lost its lease has overwritten the value of a later one", v.Entry.Value)
	}
}

func testCommitValue(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	acquire(t, h.One, key, "one", true)
	commit(t, h.One, key, "one", entry("value"), time.Minute, false)
	if v := read(t, h.Two, key); !v.Found || v.Entry.Value != "value" || v.HasFailure || v.Revoked {
		t.Errorf("got %+v", v)
	}
	if v := acquire(t, h.Two, key, "two", true); !v.Found || v.Entry.Value != "value" {
		t.Errorf("acquire returned %+v", v)
	}
}

func testCommitFailure(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	set(t, InRedis(h.One), key, entry("value"), time.Minute)
	acquire(t, h.One, key, "one", true)
	commit(t, h.One, key, "one", failure("down"), time.Second, false)
	v := read(t, h.Two, key)
	if !v.Found || v.Entry.Value != "value" || !v.HasFailure || !errors.Is(v.Failure.Err, Error("down")) || v.Failure.Outcome != cache.Unavailable {
		t.Errorf("got %+v", v)
	}
	h.Pass(t, time.Second)
	if v := read(t, h.Two, key); !v.Found || v.HasFailure {
		t.Errorf("after the failure's ttl: %+v", v)
	}
}

func testValueEndsFailure(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	for _, e := range []cache.Entry[string]{failure("down"), entry("value")} {
		acquire(t, h.One, key, "one", true)
		commit(t, h.One, key, "one", e, time.Minute, false)
	}
	if v := read(t, h.Two, key); !v.Found || v.HasFailure {
		t.Errorf("got %+v", v)
	}
}

func testCommitNothing(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	set(t, InRedis(h.One), key, entry("value"), time.Minute)
	acquire(t, h.One, key, "one", true)
	commit(t, h.One, key, "one", cache.Entry[string]{}, 0, false)
	if v := acquire(t, h.Two, key, "two", true); !v.Found || v.Entry.Value != "value" {
		t.Errorf("got %+v", v)
	}
}

func testLeaseRace(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	var owners atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		store := h.One
		if i%2 == 1 {
			store = h.Two
		}
		wg.Go(func() {
			var v cache.View
			err := patiently(func() (err error) {
				v, err = store.Acquire(t.Context(), key, fmt.Sprint(i), i%4 < 2)
				return err
			})
			if err != nil {
				t.Errorf("acquire: %v", err)
			}
			if v.Acquired {
				owners.Add(1)
			}
		})
	}
	wg.Wait()
	if got := owners.Load(); got != 1 {
		t.Errorf("%d owners, want 1", got)
	}
}

func testOnlyIfMissing(t *testing.T, h SharedHarness) {
	key, failed, gone := Key(t, "alice", 1), Key(t, "alice", 2), Key(t, "alice", 3)
	if v := acquireIfMissing(t, h.One, key, "one", true, true); v.Found || v.HasFailure || v.Revoked {
		t.Errorf("with nothing stored: %+v", v)
	}
	acquireIfMissing(t, h.Two, key, "two", true, false) // which the other has
	acquireIfMissing(t, h.One, key, "one", true, true)  // which has it already
	commit(t, h.One, key, "one", entry("value"), time.Minute, false)
	if v := acquireIfMissing(t, h.Two, key, "two", true, false); !v.Found || v.Entry.Value != "value" {
		t.Errorf("with a value: %+v", v)
	}
	acquire(t, h.Two, key, "two", true) // which is still free

	set(t, InRedis(h.One), failed, failure("down"), time.Minute)
	if v := acquireIfMissing(t, h.Two, failed, "two", true, false); !v.HasFailure {
		t.Errorf("with a failure: %+v", v)
	}
	acquire(t, h.One, failed, "one", true)

	revoke(t, h.One, gone.ResourceID(), time.Minute)
	if v := acquireIfMissing(t, h.Two, gone, "two", true, false); !v.Revoked {
		t.Errorf("of a revoked resource: %+v", v)
	}
}

func testRevoke(t *testing.T, h SharedHarness) {
	gone, stays := Key(t, "alice", 1), Key(t, "alice", 2)
	for _, key := range []cache.Key{gone, Key(t, "bob", 1), stays} {
		set(t, InRedis(h.One), key, entry("value"), time.Minute)
	}
	revoke(t, h.Two, gone.ResourceID(), time.Minute)
	for _, key := range []cache.Key{gone, Key(t, "bob", 1)} {
		if v := read(t, h.One, key); !v.Revoked || v.Found {
			t.Errorf("got %+v", v)
		}
		if v := acquire(t, h.One, key, "one", false); !v.Revoked || v.Found {
			t.Errorf("acquire returned %+v", v)
		}
		wantNone(t, InRedis(h.One), key)
	}
	wantEntry(t, InRedis(h.One), stays, entry("value"))
}

func testCommitRevoked(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	acquire(t, h.One, key, "one", true)
	revoke(t, h.Two, key.ResourceID(), time.Minute)
	commit(t, h.One, key, "one", entry("value"), time.Hour, true)
	set(t, InRedis(h.One), key, entry("value"), time.Hour)
	h.Pass(t, time.Minute)
	wantNone(t, InRedis(h.One), key)
}

func testTombstoneLapses(t *testing.T, h SharedHarness) {
	key := Key(t, "alice", 1)
	revoke(t, h.One, key.ResourceID(), time.Minute)
	h.Pass(t, 30*time.Second)
	if !read(t, h.Two, key).Revoked {
		t.Error("the tombstone lapses early")
	}
	h.Pass(t, 30*time.Second)
	if read(t, h.Two, key).Revoked {
		t.Error("the tombstone does not lapse")
	}
}

func testListVersion(t *testing.T, h SharedHarness) {
	version := func(s cache.Shared, resource string) (version string) {
		t.Helper()
		err := patiently(func() (err error) {
			version, err = s.ListVersion(t.Context(), resource)
			return err
		})
		if err != nil || version == "" {
			t.Fatalf("version %q, error %v", version, err)
		}
		return version
	}
	id := Key(t, "alice", 1).ResourceID()
	first, other := version(h.One, id.Resource()), version(h.One, "others")
	if again := version(h.Two, id.Resource()); again != first {
		t.Errorf("the processes see %q and %q", first, again)
	}
	revoke(t, h.One, id, time.Minute)
	second := version(h.Two, id.Resource())
	if second == first || version(h.One, id.Resource()) != second {
		t.Errorf("after a revocation the versions are %q and %q, before it was %q", second, version(h.One, id.Resource()), first)
	}
	if version(h.Two, "others") != other {
		t.Error("the revocation changed another resource's lists")
	}
}

func testNotified(t *testing.T, h SharedHarness) {
	var mu sync.Mutex
	received := map[cache.ResourceHash]int{}
	for _, s := range []cache.Shared{h.One, h.Two} {
		if s.InSync(0) {
			t.Error("in sync with no subscription")
		}
		s.Listen(func(hash cache.ResourceHash) {
			mu.Lock()
			defer mu.Unlock()
			received[hash]++
		})
	}
	for _, s := range []cache.Shared{h.One, h.Two} {
		Eventually(t, "the process is in sync", func() bool { return s.InSync(s.Subscription()) })
	}
	id := Key(t, "alice", 1).ResourceID()
	revoke(t, h.One, id, time.Minute)
	Eventually(t, "both processes are notified", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return received[h.Keys.ResourceHash(id)] == 2
	})
	if len(received) != 1 {
		t.Errorf("notified of %d resources, want 1", len(received))
	}
}

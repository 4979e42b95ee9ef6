package cachetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/cache"
)

// Harness is an empty store under test.
type Harness struct {
	Get    func(key cache.Key) (e cache.Encoded, found bool, err error)
	Set    func(key cache.Key, e cache.Encoded, ttl time.Duration) error
	Delete func(key cache.Key) error
	// Pass makes d pass for what the store keeps.
	Pass func(t testing.TB, d time.Duration)
}

// InProcess returns the harness of a process's own store.
func InProcess(s cache.Store) Harness {
	return Harness{
		Get:    func(key cache.Key) (cache.Encoded, bool, error) { e, found := s.Get(key); return e, found, nil },
		Set:    func(key cache.Key, e cache.Encoded, ttl time.Duration) error { s.Set(key, e, ttl); return nil },
		Delete: func(key cache.Key) error { s.Delete(key); return nil },
	}
}

// InRedis returns the harness of a shared store.
func InRedis(s cache.Shared) Harness {
	return Harness{
		Get: func(key cache.Key) (cache.Encoded, bool, error) {
			v, err := s.Read(context.Background(), key)
			return v.Entry, v.Found, err
		},
		Set:    func(key cache.Key, e cache.Encoded, ttl time.Duration) error { return Put(s, key, e, ttl) },
		Delete: func(key cache.Key) error { return s.Delete(context.Background(), key) },
	}
}

// Put stores an outcome in a shared store. It fails while there is another lease.
func Put(s cache.Shared, key cache.Key, e cache.Encoded, ttl time.Duration) error {
	ctx, token := context.Background(), rand.Text()
	v, err := s.Acquire(ctx, key, token, false)
	switch {
	case err != nil || v.Revoked:
		return err
	case !v.Acquired:
		return errors.New("cachetest: there is another lease")
	}
	_, err = s.Commit(ctx, key, token, e, ttl)
	return err
}

// Error is an error of an origin that processes can share.
type Error string

// Error returns the text.
func (e Error) Error() string { return string(e) }

// StringCodec encodes strings as they are.
var StringCodec = cache.Codec[string]{
	Encode: func(b []byte, s string) []byte { return append(b, s...) },
	Decode: func(s string) (string, error) { return s, nil },
}

// ErrorCodec encodes each [Error] as its text.
var ErrorCodec = cache.ErrorCodec{
	Encode: func(err error) []byte {
		if e, ok := errors.AsType[Error](err); ok {
			return []byte(e)
		}
		return nil
	},
	Decode: func(b []byte) (origin, err error) { return Error(b), nil },
}

// Caller returns a caller by name.
func Caller(name string) cache.Caller { return sha256.Sum256([]byte(name)) }

// Key returns a caller's key of a resource.
func Key(_ testing.TB, caller string, id int32) cache.Key { return newKey(caller, "codes", id, "") }

func newKey(caller, resource string, id int32, variant string) cache.Key {
	key, err := cache.NewKey(Caller(caller), resource, id, variant)
	if err != nil {
		panic(err) // of the test's own making
	}
	return key
}

// fetched is a whole microsecond: stores need not keep more.
var fetched = time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)

func entry(value string) cache.Entry[string] {
	return cache.Entry[string]{Value: value, FetchedAt: fetched, EndsAt: fetched.Add(time.Minute)}
}

// Conformance checks what every store guarantees. open returns an empty store for each case and arranges for
// it to be closed.
func Conformance(t *testing.T, open func(t *testing.T) Harness) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, h Harness)
	}{
		{"an unknown key is not found", testMiss},
		{"an entry comes back as it was", testRoundTrip},
		{"an entry without an end comes back without one", testZeroEnd},
		{"an entry that must not be stale stays so", testFreshOnly},
		{"a denial comes back as it was", testDenial},
		{"the last write wins", testOverwrite},
		{"an overwritten entry has the new ttl", testOverwriteTTL},
		{"keys that differ in one part share nothing", testIsolation},
		{"an entry lapses after its ttl", testTTL},
		{"a ttl that is not positive stores nothing", testNoTTL},
		{"a deleted entry is gone, and no other", testDelete},
		{"concurrent use", testConcurrent},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func testMiss(t *testing.T, h Harness) {
	wantNone(t, h, Key(t, "alice", 1))
}

func testRoundTrip(t *testing.T, h Harness) {
	for i, value := range []string{"value", "", "\x00\xff\n", strings.Repeat("x", 100_000)} {
		key, want := Key(t, "alice", int32(i+1)), entry(value)
		set(t, h, key, want, time.Minute)
		wantEntry(t, h, key, want)
		wantEntry(t, h, key, want) // reading does not consume it
	}
}

func testZeroEnd(t *testing.T, h Harness) {
	key, want := Key(t, "alice", 1), cache.Entry[string]{Value: "value", FetchedAt: fetched}
	set(t, h, key, want, time.Minute)
	wantEntry(t, h, key, want)
}

func testFreshOnly(t *testing.T, h Harness) {
	key, want := Key(t, "alice", 1), entry("value")
	want.FreshOnly = true
	set(t, h, key, want, time.Minute)
	wantEntry(t, h, key, want)
}

func testDenial(t *testing.T, h Harness) {
	for i, outcome := range []cache.Outcome{cache.Denied, cache.Unauthenticated, cache.Refused} {
		key, want := Key(t, "alice", int32(i+1)), cache.Entry[string]{Err: Error("no"), Outcome: outcome, FetchedAt: fetched}
		set(t, h, key, want, time.Minute)
		wantEntry(t, h, key, want)
	}
	key, want := Key(t, "alice", 4), entry("no")
	want.Denial = true
	set(t, h, key, want, time.Minute)
	wantEntry(t, h, key, want)
}

func testOverwrite(t *testing.T, h Harness) {
	key := Key(t, "alice", 1)
	set(t, h, key, entry("old"), time.Minute)
	set(t, h, key, entry("new"), time.Minute)
	wantEntry(t, h, key, entry("new"))
}

func testOverwriteTTL(t *testing.T, h Harness) {
	longer, shorter := Key(t, "alice", 1), Key(t, "alice", 2)
	set(t, h, longer, entry("old"), time.Minute)
	set(t, h, longer, entry("new"), time.Hour)
	set(t, h, shorter, entry("old"), time.Hour)
	set(t, h, shorter, entry("new"), time.Minute)
	h.Pass(t, 2*time.Minute)
	wantEntry(t, h, longer, entry("new"))
	wantNone(t, h, shorter)
}

func testIsolation(t *testing.T, h Harness) {
	keys := map[string]cache.Key{
		"the key":          newKey("alice", "codes", 1, "full"),
		"another caller":   newKey("bob", "codes", 1, "full"),
		"another resource": newKey("alice", "tokens", 1, "full"),
		"another id":       newKey("alice", "codes", 2, "full"),
		"another variant":  newKey("alice", "codes", 1, "redacted"),
		"no variant":       newKey("alice", "codes", 1, ""),
		"parts shifted":    newKey("alice", "code", 1, "sfull"),
	}
	for name, key := range keys {
		wantNone(t, h, key)
		set(t, h, key, entry(name), time.Minute)
	}
	for name, key := range keys {
		wantEntry(t, h, key, entry(name))
	}
}

func testTTL(t *testing.T, h Harness) {
	key := Key(t, "alice", 1)
	set(t, h, key, entry("value"), time.Minute)
	h.Pass(t, 30*time.Second)
	wantEntry(t, h, key, entry("value"))
	h.Pass(t, 30*time.Second)
	wantNone(t, h, key)
	set(t, h, key, entry("again"), time.Minute)
	wantEntry(t, h, key, entry("again"))
}

func testNoTTL(t *testing.T, h Harness) {
	for i, ttl := range []time.Duration{0, -1, -time.Hour} {
		key := Key(t, "alice", int32(i+1))
		set(t, h, key, entry("value"), ttl)
		wantNone(t, h, key)
	}
	key := Key(t, "bob", 1)
	set(t, h, key, entry("old"), time.Minute)
	set(t, h, key, entry("new"), 0)
	if e, found := get(t, h, key); found && e.Value != "old" {
		t.Errorf("got %q, which was to be stored for no time at all", e.Value)
	}
}

func testConcurrent(t *testing.T, h Harness) {
	var wg sync.WaitGroup
	for worker := range 8 {
		caller := fmt.Sprint("caller ", worker%4)
		wg.Go(func() {
			for i := range int32(50) {
				key, value := Key(t, caller, i%5+1), fmt.Sprint(caller, "/", i%5+1)
				var e cache.Entry[string]
				var found bool
				if err := patiently(func() error { return h.Set(key, entry(value), time.Minute) }); err != nil {
					t.Errorf("set: %v", err)
				}
				err := patiently(func() (err error) {
					e, found, err = h.Get(key)
					return err
				})
				if err != nil || !found || e.Value != value {
					t.Errorf("got %q, found %t, error %v; want %q", e.Value, found, err, value)
				}
			}
		})
	}
	wg.Wait()
}

// patiently retries, because the server may be slow on a busy machine.
func patiently(try func() error) (err error) {
	for range 10 {
		if err = try(); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func testDelete(t *testing.T, h Harness) {
	gone, stays := Key(t, "alice", 1), Key(t, "bob", 1)
	set(t, h, gone, entry("gone"), time.Minute)
	set(t, h, stays, entry("stays"), time.Minute)
	for range 2 { // the second time there is nothing to delete
		if err := patiently(func() error { return h.Delete(gone) }); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	wantNone(t, h, gone)
	wantEntry(t, h, stays, entry("stays"))
}

func set(t *testing.T, h Harness, key cache.Key, e cache.Entry[string], ttl time.Duration) {
	t.Helper()
	if err := patiently(func() error { return h.Set(key, e, ttl) }); err != nil {
		t.Fatalf("set: %v", err)
	}
}

func get(t *testing.T, h Harness, key cache.Key) (cache.Entry[string], bool) {
	t.Helper()
	var e cache.Entry[string]
	var found bool
	err := patiently(func() (err error) {
		e, found, err = h.Get(key)
		return err
	})
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if !found && e != (cache.Entry[string]{}) {
		t.Errorf("not found, but got %v", e)
	}
	return e, found
}

func wantNone(t *testing.T, h Harness, key cache.Key) {
	t.Helper()
	if e, found := get(t, h, key); found {
		t.Errorf("found %q, want nothing", e.Value)
	}
}

func wantEntry(t *testing.T, h Harness, key cache.Key, want cache.Entry[string]) {
	t.Helper()
	e, found := get(t, h, key)
	switch {
	case !found:
		t.Errorf("found nothing, want %.20q", want.Value)
	case e.Value != want.Value || e.Outcome != want.Outcome || !errors.Is(e.Err, want.Err) || e.FreshOnly != want.FreshOnly || e.Denial != want.Denial:
		t.Errorf("got %.20q, outcome %d, error %v, fresh only %t, denial %t; want %.20q, %d, %v, %t, %t",
			e.Value, e.Outcome, e.Err, e.FreshOnly, e.Denial, want.Value, want.Outcome, want.Err, want.FreshOnly, want.Denial)
	case !e.FetchedAt.Equal(want.FetchedAt) || !e.EndsAt.Equal(want.EndsAt):
		t.Errorf("times: got %s and %s, want %s and %s", e.FetchedAt, e.EndsAt, want.FetchedAt, want.EndsAt)
	}
}

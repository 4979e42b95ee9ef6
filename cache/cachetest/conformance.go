package cachetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/cache"
)

// Harness is an empty store under test.
type Harness struct {
	Store cache.Store[string]
	// Pass lets d go by for what the store keeps.
	Pass func(t testing.TB, d time.Duration)
}

// StringCodec keeps strings as their bytes.
var StringCodec = cache.Codec[string]{
	Encode: func(s string) []byte { return []byte(s) },
	Decode: func(b []byte) (string, error) { return string(b), nil },
}

// Caller makes the caller of a name.
func Caller(name string) cache.Caller { return sha256.Sum256([]byte(name)) }

// Key makes a caller's key of a row.
func Key(t testing.TB, caller string, id int32) cache.Key {
	t.Helper()
	return newKey(t, caller, "codes", id, "")
}

func newKey(t testing.TB, caller, resource string, id int32, variant string) cache.Key {
	t.Helper()
	key, err := cache.NewKey(Caller(caller), resource, id, variant)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fetched is on a whole microsecond: a store need not keep more.
var fetched = time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)

func entry(value string) cache.Entry[string] {
	return cache.Entry[string]{Value: value, FetchedAt: fetched, EndsAt: fetched.Add(time.Minute)}
}

// Conformance checks what [cache.Store] promises. open returns an empty store for each case and
// arranges for its closing.
func Conformance(t *testing.T, open func(t *testing.T) Harness) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, h Harness)
	}{
		{"an unknown key is not found", testMiss},
		{"an entry comes back as it was", testRoundTrip},
		{"an entry without an end comes back without one", testZeroEnd},
		{"the last write wins", testOverwrite},
		{"a rewrite brings its own ttl", testOverwriteTTL},
		{"keys that differ in one part share nothing", testIsolation},
		{"an entry goes with its ttl", testTTL},
		{"a ttl that is not positive stores nothing", testNoTTL},
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
		wantEntry(t, h, key, want) // reading takes nothing away
	}
}

func testZeroEnd(t *testing.T, h Harness) {
	key, want := Key(t, "alice", 1), cache.Entry[string]{Value: "value", FetchedAt: fetched}
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
		"the key":          newKey(t, "alice", "codes", 1, "full"),
		"another caller":   newKey(t, "bob", "codes", 1, "full"),
		"another resource": newKey(t, "alice", "tokens", 1, "full"),
		"another id":       newKey(t, "alice", "codes", 2, "full"),
		"another variant":  newKey(t, "alice", "codes", 1, "redacted"),
		"no variant":       newKey(t, "alice", "codes", 1, ""),
		"parts shifted":    newKey(t, "alice", "code", 1, "sfull"),
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
		t.Errorf("got %q, which was to be stored for no time", e.Value)
	}
}

func testConcurrent(t *testing.T, h Harness) {
	var wg sync.WaitGroup
	for worker := range 8 {
		caller := fmt.Sprint("caller ", worker%4)
		wg.Go(func() {
			for i := range int32(50) {
				key, err := cache.NewKey(Caller(caller), "codes", i%5+1, "")
				if err != nil {
					t.Error(err)
					return
				}
				value := fmt.Sprint(caller, "/", i%5+1)
				if err := h.Store.Set(context.Background(), key, entry(value), time.Minute); err != nil {
					t.Errorf("set: %v", err)
				}
				e, found, err := h.Store.Get(context.Background(), key)
				if err != nil || !found || e.Value != value {
					t.Errorf("got %q, found %t, error %v; want %q", e.Value, found, err, value)
				}
			}
		})
	}
	wg.Wait()
}

func set(t *testing.T, h Harness, key cache.Key, e cache.Entry[string], ttl time.Duration) {
	t.Helper()
	if err := h.Store.Set(t.Context(), key, e, ttl); err != nil {
		t.Fatalf("set: %v", err)
	}
}

func get(t *testing.T, h Harness, key cache.Key) (cache.Entry[string], bool) {
	t.Helper()
	e, found, err := h.Store.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if !found && e != (cache.Entry[string]{}) {
		t.Errorf("not found, and yet there is %v", e)
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
	case e.Value != want.Value:
		t.Errorf("value: got %.20q, want %.20q", e.Value, want.Value)
	case !e.FetchedAt.Equal(want.FetchedAt) || !e.EndsAt.Equal(want.EndsAt):
		t.Errorf("times: got %s and %s, want %s and %s", e.FetchedAt, e.EndsAt, want.FetchedAt, want.EndsAt)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream"
)

// recordedCode is one answer of a real authentik.
func recordedCode(t testing.TB, release string) []byte {
	t.Helper()
	for line := range bytes.Lines([]byte(must(t, filepath.Join("upstream", "testdata", "recorded", release+".jsonl")))) {
		var r struct {
			Case string
			Body json.RawMessage
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r.Case == "retrieve-own" && r.Body != nil {
			var compact bytes.Buffer
			if err := json.Compact(&compact, r.Body); err != nil {
				t.Fatal(err)
			}
			return compact.Bytes()
		}
	}
	t.Fatalf("no code of %s", release)
	return nil
}

func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestMemoryHoldsWhatItSays fills the first level far over its bound. What is alive then must not
// be more than the bound, nor so much less that memory lies idle: entries are weighed up to a
// tenth over the truth, and the rest is for what other tests leave behind.
func TestMemoryHoldsWhatItSays(t *testing.T) {
	const bound = 64 << 20
	code, _, err := upstream.DecodeGrant(recordedCode(t, "2026.2.2"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	stored := upstream.AppendGrant(nil, code)
	before := liveHeap()
	m, err := cache.NewMemory(bound, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	for id := range int32(bound / 3000) { // a third more than fit
		_ = m.Set(t.Context(), cachetest.Key(t, "alice", id+1), cache.Entry[string]{Value: string(stored)}, time.Hour)
	}
	held := 0
	cachetest.Eventually(t, "the store shrinks to its bound", func() bool {
		held = liveHeap() - before
		return held <= bound
	})
	t.Logf("%d of %d bytes", held, bound)
	if held < bound*8/10 {
		t.Errorf("holds only %d of %d bytes", held, bound)
	}
}

func TestRoomFor(t *testing.T) {
	for _, tt := range []struct{ open, room, want int }{
		{0, 64, 64}, {64, 64, 64}, {65, 64, 128}, {129, 64, 192}, {1000, 64, 1024},
		{65, 128, 128}, {1, 128, 128}, {0, 128, 64}, // a whole step stays empty before it is given up
		{129, 256, 256}, {128, 256, 128}, {100, 1024, 128}, {0, 1024, 64},
	} {
		if got := roomFor(tt.open, tt.room); got != tt.want {
			t.Errorf("room for %d connections after %d: %d, want %d", tt.open, tt.room, got, tt.want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	const cacheSize, base = 64 << 20, 106 << 20
	limit, calls := int64(1), 0
	l := limitMemory(cacheSize, func(n int64) (old int64) {
		old, limit = limit, n
		calls++
		return old
	})
	want := func(conns, sets int) {
		t.Helper()
		if got := int64(base + (max(conns, 500)-500)*32<<10); limit != got || calls != sets {
			t.Errorf("the limit is %d after %d settings, want %d after %d", limit, calls, got, sets)
		}
	}
	each := func(n int, state http.ConnState) {
		for range n {
			l.connState(nil, state)
		}
	}
	want(0, 1)
	each(448, http.StateNew)
	each(448, http.StateActive)
	want(448, 1)
	each(1, http.StateNew)
	want(512, 2)
	for range 10 { // around a step
		each(60, http.StateClosed)
		each(60, http.StateNew)
	}
	want(512, 2)
	each(135, http.StateNew)
	want(640, 4)
	each(60, http.StateHijacked)
	each(140, http.StateClosed)
	want(448, 6)
	l.end()
	if limit != 1 || calls != 7 {
		t.Errorf("the limit is %d after its end, want the one before", limit)
	}
	each(1000, http.StateNew) // the server closes connections after the end
	l.end()
	if limit != 1 || calls != 7 {
		t.Errorf("the limit is %d, moved after its end", limit)
	}
}

func TestMemoryLimitFollowsConnections(t *testing.T) {
	before := currentMemoryLimit()
	a := startApp(t, []string{"-demo"}, "CACHE_MEMORY=32MiB")
	want := func(limit int64) {
		t.Helper()
		cachetest.Eventually(t, fmt.Sprintf("the limit is %d", limit), func() bool { return currentMemoryLimit() == limit })
	}
	want(memoryFor(32<<20, 64))
	conns := make([]net.Conn, 600)
	for i := range conns {
		var err error
		if conns[i], err = (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.URL, "http://")); err != nil {
			t.Fatal(err)
		}
	}
	want(memoryFor(32<<20, 640))
	for _, c := range conns {
		_ = c.Close()
	}
	want(memoryFor(32<<20, 64))
	if !strings.Contains(a.Log.String(), `"memory_limit":"74 MiB"`) {
		t.Errorf("the log does not tell the limit:\n%s", a.Log)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	want(before)
}

// Whoever sets GOMEMLIMIT wants that one; Go has read it before the program starts.
func TestMemoryLimitOfTheOperator(t *testing.T) {
	before := currentMemoryLimit()
	startApp(t, []string{"-demo"}, "GOMEMLIMIT=1GiB")
	if got := currentMemoryLimit(); got != before {
		t.Errorf("the limit is %d, want %d", got, before)
	}
}

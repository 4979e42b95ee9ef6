package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream"
)

// recordedCode returns the first recorded code of a real authentik.
func recordedCode(t testing.TB, release string) []byte {
	t.Helper()
	first, _, _ := strings.Cut(file(t, filepath.Join("upstream", "testdata", "rows", release+".jsonl")), "\n")
	return []byte(first)
}

func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestMemoryHoldsWhatItSays fills the memory cache beyond its bound. The live heap must not exceed the
// bound, nor be much smaller: an entry's weight may exceed its size by a tenth, and the rest is for other
// tests' garbage.
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
	defer m.Close()
	for id := range int32(bound / 3000) { // a third more than fit
		m.Set(cachetest.Key(t, "alice", id+1), cache.Entry[string]{Value: string(stored)}, time.Hour)
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

func TestMemoryLimitFollowsConnections(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	a := startApp(t, []string{"-demo"}, "CACHE_MEMORY=32MiB")
	want := func(limit int64) {
		t.Helper()
		cachetest.Eventually(t, fmt.Sprintf("the limit is %d", limit), func() bool { return debug.SetMemoryLimit(-1) == limit })
	}
	want(74 << 20)
	conns := make([]net.Conn, 600)
	for i := range conns {
		var err error
		if conns[i], err = (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.URL, "http://")); err != nil {
			t.Fatal(err)
		}
	}
	want(74<<20 + 140*32<<10)
	for _, c := range conns {
		_ = c.Close()
	}
	want(74 << 20)
	if !strings.Contains(a.Log.String(), `"memory_limit":"74 MiB"`) {
		t.Errorf("the limit is not logged:\n%s", a.Log)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	want(before)
}

// TestMemoryLimitOfTheOperator: GOMEMLIMIT is left alone. Go has read it before the program starts.
func TestMemoryLimitOfTheOperator(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	startApp(t, []string{"-demo"}, "GOMEMLIMIT=1GiB")
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("the limit is %d, want %d", got, before)
	}
}

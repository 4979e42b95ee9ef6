package httpserver

import (
	"sync/atomic"
	"testing"
)

func TestBudgetFor(t *testing.T) {
	for _, tt := range []struct{ open, budgeted, want int }{
		{0, 64, 64}, {64, 64, 64}, {65, 64, 128}, {129, 64, 192}, {1000, 64, 1024},
		{65, 128, 128}, {1, 128, 128}, {0, 128, 64}, // a whole step stays empty before it is given up
		{129, 256, 256}, {128, 256, 128}, {100, 1024, 128}, {0, 1024, 64},
	} {
		if got := budgetFor(tt.open, tt.budgeted); got != tt.want {
			t.Errorf("budget for %d connections after %d: %d, want %d", tt.open, tt.budgeted, got, tt.want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	const cacheSize, base = 64 << 20, 106 << 20
	limit, calls := int64(1), 0
	var open atomic.Int64
	l := limitMemory(cacheSize, &open, func(n int64) (old int64) {
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
	each := func(n int, change int64) {
		for range n {
			open.Add(change)
			l.adjust()
		}
	}
	want(0, 1)
	each(448, 1)
	want(448, 1)
	each(1, 1)
	want(512, 2)
	for range 10 { // around a step
		each(60, -1)
		each(60, 1)
	}
	want(512, 2)
	each(135, 1)
	want(640, 4)
	each(200, -1)
	want(448, 6)
	l.end()
	if limit != 1 || calls != 7 {
		t.Errorf("the limit is %d after its end, want the one before", limit)
	}
	each(1000, 1) // the server closes connections after the end
	l.end()
	if limit != 1 || calls != 7 {
		t.Errorf("the limit is %d, moved after its end", limit)
	}
}

package httpserver

import (
	"sync"
	"sync/atomic"
)

const (
	// memoryBase is what the process may take beside the memory of its caches: for itself, for running
	// requests, for the first freeConns connections, and for garbage. With less, the garbage collector would
	// run more often. A process stays within 64 MiB beside its caches. That includes up to 24 MiB of the
	// binary's pages, which Go's limit does not count and the kernel may reclaim.
	memoryBase = 42 << 20
	freeConns  = 500
	// memoryPerConn is for the buffers and the stack of each further connection.
	memoryPerConn = 32 << 10
	// connStep is by how many connections the limit moves: to set it stops the world for a moment.
	connStep = 64
)

// memoryFor returns the soft memory limit for caches and open connections.
func memoryFor(caches int64, conns int) int64 {
	return caches + memoryBase + int64(max(0, conns-freeConns))*memoryPerConn
}

// memoryLimit moves the process's soft memory limit with the number of open connections. Without a limit the
// collector would let the heap grow to twice what is alive. Nil does nothing.
type memoryLimit struct {
	caches int64
	open   *atomic.Int64     // connections
	set    func(int64) int64 // debug.SetMemoryLimit

	mu       sync.Mutex
	ended    bool
	before   int64
	budgeted int // connections that the limit has memory for
}

// limitMemory sets the limit for a process without connections.
func limitMemory(caches int64, open *atomic.Int64, set func(int64) int64) *memoryLimit {
	l := &memoryLimit{caches: caches, open: open, set: set, budgeted: connStep}
	l.before = set(memoryFor(caches, l.budgeted))
	return l
}

// adjust moves the limit after connections were opened or closed.
func (l *memoryLimit) adjust() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := memoryFor(l.caches, l.budgeted)
	l.budgeted = budgetFor(int(l.open.Load()), l.budgeted)
	if now := memoryFor(l.caches, l.budgeted); now != before && !l.ended {
		l.set(now)
	}
}

// budgetFor returns for how many connections there should be memory, in whole steps. It shrinks only once two
// steps are empty, so that connections that come and go around a step do not move the limit.
func budgetFor(open, budgeted int) int {
	if open > budgeted || open <= budgeted-2*connStep {
		return max(1, (open+connStep-1)/connStep) * connStep
	}
	return budgeted
}

// end restores the limit that was there before.
func (l *memoryLimit) end() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		l.set(l.before)
	}
}

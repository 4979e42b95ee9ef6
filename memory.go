package main

import (
	"net"
	"net/http"
	"runtime/debug"
	"sync"
)

// What the process may take beside the memory of the cache, before the garbage collector works
// harder than it must.
const (
	// memoryBase is for an idle process, the requests that run, the first freeConns connections, and
	// garbage: the less there is room for, the more often everything that lives is looked at. A process
	// stays within 64 MiB beside its cache, with as many of the binary's pages, up to 24 MiB, as there
	// is room for: the limit does not count them, and the kernel takes them back.
	memoryBase = 42 << 20
	freeConns  = 500
	// memoryPerConn is for the buffers and the stack of each further connection.
	memoryPerConn = 32 << 10
	// connStep is how many connections the limit is moved for at a time: setting it stops the
	// world for a moment.
	connStep = 64
	// gcPercent is how much garbage may be there beside what is alive, which is little when the cache is
	// almost empty: with Go's 100 the collector would then run after every few MiB. The limit of the
	// whole holds whatever this is.
	gcPercent = 400
)

// memoryFor is the soft limit that leaves room for a cache and for open connections.
func memoryFor(cache int64, conns int) int64 {
	return cache + memoryBase + int64(max(0, conns-freeConns))*memoryPerConn
}

// memoryLimit keeps the process's soft memory limit where the settings and the open connections
// want it. Without one the collector would let the heap grow to twice what is alive, which is
// twice CACHE_MEMORY.
type memoryLimit struct {
	cache int64
	set   func(int64) int64 // debug.SetMemoryLimit

	mu     sync.Mutex
	ended  bool
	before int64
	open   int // connections
	room   int // connections that the limit has room for
}

// limitMemory sets the limit for a process without connections.
func limitMemory(cache int64, set func(int64) int64) *memoryLimit {
	l := &memoryLimit{cache: cache, set: set, room: connStep}
	l.before = set(memoryFor(cache, l.room))
	return l
}

// connState is an [http.Server]'s ConnState hook.
func (l *memoryLimit) connState(_ net.Conn, state http.ConnState) {
	if state == http.StateActive || state == http.StateIdle { // twice a request
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew:
		l.open++
	case http.StateClosed, http.StateHijacked:
		l.open--
	}
	before := memoryFor(l.cache, l.room)
	l.room = roomFor(l.open, l.room)
	if now := memoryFor(l.cache, l.room); now != before && !l.ended {
		l.set(now)
	}
}

// roomFor is for how many connections there should be room, in whole steps. It shrinks only once
// two steps are empty, so that connections that come and go around a step do not move it.
func roomFor(open, room int) int {
	if open > room || open <= room-2*connStep {
		return max(1, (open+connStep-1)/connStep) * connStep
	}
	return room
}

// end brings back the limit that was there before.
func (l *memoryLimit) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		l.set(l.before)
	}
}

// currentMemoryLimit reads the process's limit.
func currentMemoryLimit() int64 { return debug.SetMemoryLimit(-1) }

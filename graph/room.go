package graph

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"authentik-graphql/internal/apierror"
)

const (
	// freeBytes are what each request may hold of its body, and of its answer, whatever others hold.
	// Usual requests need no more.
	freeBytes = 16 << 10
	// roomBytes are what all requests together may hold of bodies beyond that, and of answers. A
	// client that sends slowly, or does not read, holds its part until the connection's time is over.
	roomBytes = 32 << 20
	// blockBytes is how much an answer takes at a time, and roomWait how long it waits for it.
	blockBytes = 64 << 10
	roomWait   = time.Second
)

// room bounds what requests hold together.
type room struct{ left *semaphore.Weighted }

func newRoom() *room { return &room{semaphore.NewWeighted(roomBytes)} }

// hold is one request's part of a room. The zero value holds nothing.
type hold struct {
	granted atomic.Int64 // beyond freeBytes
	mu      sync.Mutex
	room    *room
	refused bool // there was no room: nobody waits for it once more
}

// reach makes the hold cover so many bytes. It returns false if there is no room for them, after
// having waited a little.
func (h *hold) reach(ctx context.Context, r *room, bytes int64) bool {
	if bytes <= freeBytes+h.granted.Load() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	missing := bytes - freeBytes - h.granted.Load()
	if missing <= 0 || h.refused {
		return !h.refused
	}
	missing = min((missing+blockBytes-1)/blockBytes*blockBytes, roomBytes)
	if !r.left.TryAcquire(missing) {
		ctx, cancel := context.WithTimeout(ctx, roomWait)
		defer cancel()
		if h.refused = r.left.Acquire(ctx, missing) != nil; h.refused {
			return false
		}
	}
	h.room = r
	h.granted.Add(missing)
	return true
}

// release gives everything back.
func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.granted.Swap(0); n > 0 {
		h.room.left.Release(n)
	}
}

// noRoom answers a request for which there is no room.
func noRoom() *fault {
	return &fault{http.StatusServiceUnavailable, &apierror.Error{
		Code:       apierror.Overloaded,
		Message:    "There is no room for a request or an answer of this size now. Try again later.",
		RetryAfter: time.Second,
	}}
}

package graph

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"authentik-graphql/internal/apierror"
)

const (
	// freeBytes are what each request may hold of its body, and of its response, whatever others hold.
	// Usual requests need no more.
	freeBytes = 16 << 10
	// budgetBytes are what all requests together may hold beyond that, of bodies and of responses each. A
	// client that sends slowly, or does not read, keeps its part until the connection times out.
	budgetBytes = 32 << 20
	// blockBytes is how much is reserved at a time.
	blockBytes = 64 << 10
	// reserveTimeout is how long a request waits for memory.
	reserveTimeout = time.Second
)

// newMemoryBudget bounds the bytes that all requests together hold.
func newMemoryBudget() *semaphore.Weighted { return semaphore.NewWeighted(budgetBytes) }

// reservation is one request's part of a budget. The zero value holds nothing.
type reservation struct {
	mu      sync.Mutex
	granted int64 // beyond freeBytes
	budget  *semaphore.Weighted
	refused bool // a request does not wait a second time
}

// reserve makes the reservation cover a number of bytes. It waits a little, and returns false if the
// budget is still used up.
func (r *reservation) reserve(ctx context.Context, budget *semaphore.Weighted, bytes int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := bytes - freeBytes - r.granted
	if missing <= 0 || r.refused {
		return missing <= 0
	}
	missing = min((missing+blockBytes-1)/blockBytes*blockBytes, budgetBytes)
	if !budget.TryAcquire(missing) { // which Acquire does not once the context has ended
		ctx, cancel := context.WithTimeout(ctx, reserveTimeout)
		defer cancel()
		if r.refused = budget.Acquire(ctx, missing) != nil; r.refused {
			return false
		}
	}
	r.budget = budget
	r.granted += missing
	return true
}

// release returns all of it to the budget.
func (r *reservation) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.budget != nil {
		r.budget.Release(r.granted)
		r.granted, r.budget = 0, nil
	}
}

// overloaded is the error of a request for which there is no memory.
func overloaded() *apierror.Error {
	return &apierror.Error{
		Code:       apierror.Overloaded,
		Message:    "There is no room for a request or an answer of this size now. Try again later.",
		RetryAfter: time.Second,
	}
}

// stopReason is why the rest of a response is not made. The transport then answers an error.
type stopReason int32

const (
	notStopped stopReason = iota
	tooLarge
	tooLate
	outOfMemory
)

// responseBudget is what one response, and what all of them together, may take.
type responseBudget struct {
	memory   *semaphore.Weighted
	maxBytes int64 // Limits.Answer
}

// spend counts a part of a request's response. It returns false if the response is stopped.
func (b responseBudget) spend(ctx context.Context, req *Request, n int64) bool {
	switch total := req.responseBytes.Add(n); {
	case total > b.maxBytes:
		req.stop(tooLarge)
	case !req.response.reserve(ctx, b.memory, total):
		req.stop(outOfMemory)
	}
	return req.stopped() == notStopped
}

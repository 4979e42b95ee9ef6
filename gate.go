package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"authentik-graphql/upstream"
)

const (
	// gateTokens is how many tokens a gate remembers, accepted and rejected each.
	gateTokens = 10000
	// rejectedFor is how long a token that was rejected is not tried again, as long as any load that
	// failed.
	rejectedFor = time.Second
	// unknownShare is the part of the calls to authentik that tokens may make which it has not
	// accepted yet: one in so many.
	unknownShare = 4
)

// tokenDigest stands for a token, as in cache keys.
type tokenDigest = [sha256.Size]byte

// gate keeps tokens that authentik does not know from costing it much. A token makes one call at a
// time until authentik has accepted it once, those tokens have a part of the calls together, and one
// that was rejected is rejected without a call for a moment: whoever invents tokens cannot take the
// others' turns.
type gate struct {
	unknown  *semaphore.Weighted
	now      func() time.Time
	accepted *lru.Cache[tokenDigest, struct{}]
	rejected *lru.Cache[tokenDigest, rejection]

	mu      sync.Mutex
	calling map[tokenDigest]chan struct{} // closed when the call has ended
}

type rejection struct {
	until time.Time
	err   error
}

func newGate(concurrency int, now func() time.Time) *gate {
	accepted, _ := lru.New[tokenDigest, struct{}](gateTokens) // fails only for a size below 1
	rejected, _ := lru.New[tokenDigest, rejection](gateTokens)
	return &gate{
		unknown:  semaphore.NewWeighted(int64(max(1, concurrency/unknownShare))),
		now:      now,
		accepted: accepted,
		rejected: rejected,
		calling:  map[tokenDigest]chan struct{}{},
	}
}

// pass makes a call with a token when its turn has come. Its error is the call's, that of the
// token's rejection, or ctx's as an upstream error.
func (g *gate) pass(ctx context.Context, token tokenDigest, call func() error) error {
	for {
		if _, known := g.accepted.Get(token); known {
			err := call()
			g.note(token, err)
			return err
		}
		if r, ok := g.rejected.Get(token); ok && g.now().Before(r.until) {
			return r.err
		}
		done, first := g.begin(token)
		if first {
			return g.try(ctx, token, done, call)
		}
		select {
		case <-done:
		case <-ctx.Done():
			return waited(ctx)
		}
	}
}

func (g *gate) begin(token tokenDigest) (done chan struct{}, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	done, calling := g.calling[token]
	if !calling {
		done = make(chan struct{})
		g.calling[token] = done
	}
	return done, !calling
}

// try makes the one call of a token that is not known.
func (g *gate) try(ctx context.Context, token tokenDigest, done chan struct{}, call func() error) error {
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.calling, token)
		close(done)
	}()
	if err := g.unknown.Acquire(ctx, 1); err != nil {
		return waited(ctx)
	}
	defer g.unknown.Release(1)
	err := call()
	g.note(token, err)
	return err
}

// note remembers what a call said of its token. A call that failed says nothing.
func (g *gate) note(token tokenDigest, err error) {
	e, failed := errors.AsType[*upstream.Error](err)
	switch {
	case err == nil, failed && (e.Kind == upstream.NotFound || e.Kind == upstream.Forbidden):
		g.accepted.Add(token, struct{}{})
	case failed && e.Kind == upstream.Unauthenticated:
		if !g.accepted.Remove(token) { // else it is tried once more, alone
			g.rejected.Add(token, rejection{g.now().Add(rejectedFor), err})
		}
	}
}

// waited is the error of a call whose turn did not come.
func waited(ctx context.Context) error {
	kind := upstream.Unavailable
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = upstream.Timeout
	}
	return &upstream.Error{Kind: kind, Err: ctx.Err()}
}

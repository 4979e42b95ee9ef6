package grants

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"authentik-graphql/upstream"
)

const (
	// maxTokens is how many accepted tokens are remembered, and as many rejected ones.
	maxTokens = 10000
	// rejectedFor is how long a rejected token is not tried again, as long as any load that failed.
	rejectedFor = time.Second
	// unknownShare is the part of the calls to authentik that tokens may make together which it has not
	// accepted yet: one in so many.
	unknownShare = 4
)

// admission bounds what tokens cost authentik that it does not know. Until authentik has accepted a token
// once, the token makes one call at a time, and all such tokens share a part of the calls. A token that was
// rejected makes no call for a moment, but one that had been accepted before is tried once more first. So a
// client that invents tokens cannot take the others' turns.
type admission struct {
	unknown  *semaphore.Weighted
	now      func() time.Time
	accepted *lru.Cache[Digest, struct{}]
	rejected *lru.Cache[Digest, rejection]

	mu      sync.Mutex
	calling map[Digest]chan struct{} // closed when the call has ended
}

type rejection struct {
	until time.Time
	err   error
}

func newAdmission(concurrency int, now func() time.Time) *admission {
	accepted, _ := lru.New[Digest, struct{}](maxTokens) // fails only for a size below 1
	rejected, _ := lru.New[Digest, rejection](maxTokens)
	return &admission{
		unknown:  semaphore.NewWeighted(int64(max(1, concurrency/unknownShare))),
		now:      now,
		accepted: accepted,
		rejected: rejected,
		calling:  map[Digest]chan struct{}{},
	}
}

// Do makes a call with a token when its turn has come. The error is the call's, that of the token's
// rejection, or ctx's as an [upstream.Error].
func (a *admission) Do(ctx context.Context, token Digest, call func() error) error {
	for {
		if _, known := a.accepted.Get(token); known {
			err := call()
			a.record(token, err)
			return err
		}
		if r, ok := a.rejected.Get(token); ok && a.now().Before(r.until) {
			return r.err
		}
		ended, first := a.begin(token)
		if first {
			return a.try(ctx, token, ended, call)
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return turnError(ctx)
		}
	}
}

// begin registers the one call of an unknown token, or returns the channel that is closed when it ends.
func (a *admission) begin(token Digest) (ended chan struct{}, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ended, calling := a.calling[token]
	if !calling {
		ended = make(chan struct{})
		a.calling[token] = ended
	}
	return ended, !calling
}

// try makes the one call of an unknown token.
func (a *admission) try(ctx context.Context, token Digest, ended chan struct{}, call func() error) error {
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.calling, token)
		close(ended)
	}()
	if err := a.unknown.Acquire(ctx, 1); err != nil {
		return turnError(ctx)
	}
	defer a.unknown.Release(1)
	err := call()
	a.record(token, err)
	return err
}

// record remembers whether a call's outcome accepts or rejects its token. Most failures do neither.
func (a *admission) record(token Digest, err error) {
	e, failed := errors.AsType[*upstream.Error](err)
	switch {
	case err == nil, failed && (e.Kind == upstream.NotFound || e.Kind == upstream.Forbidden):
		a.accepted.Add(token, struct{}{})
	case failed && e.Kind == upstream.Unauthenticated:
		if !a.accepted.Remove(token) { // else one more call finds out
			a.rejected.Add(token, rejection{a.now().Add(rejectedFor), err})
		}
	}
}

// turnError is the error of a call whose turn did not come in time.
func turnError(ctx context.Context) error {
	kind := upstream.Unavailable
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = upstream.Timeout
	}
	return &upstream.Error{Kind: kind, Err: ctx.Err()}
}

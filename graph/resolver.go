package graph

import (
	"context"
	"errors"
	"sync"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/upstream"
)

// GrantSource gives grants as the bearer of a credential may see them.
//
// An implementation never gives one caller what only another may see, returns values that nobody
// changes, and returns an *upstream.Error, an *[Error], or the context's error when that ended first.
type GrantSource interface {
	Grant(ctx context.Context, cred upstream.Credential, resource upstream.Resource, pk upstream.PK) (GrantRead, error)
	List(ctx context.Context, cred upstream.Credential, resource upstream.Resource, q upstream.Query) (ListRead, error)
	Revoke(ctx context.Context, cred upstream.Credential, resource upstream.Resource, pk upstream.PK) (Revocation, error)
}

// GrantRead is a grant as it was read through the cache.
type GrantRead = cache.Result[*upstream.Grant]

// ListRead is a part of a list as it was read through the cache.
type ListRead = cache.Result[*upstream.Rows]

// Revocation is what came of a revocation.
type Revocation struct {
	// Grant is the grant as it was, if it was cached.
	Grant *GrantRead
	// OutcomeUnknown reports that authentik did not say whether this request deleted the row.
	OutcomeUnknown bool
}

// Resolver is the root of all resolvers.
type Resolver struct {
	Grants GrantSource
	// Now is the clock by which grants are judged expired.
	Now func() time.Time

	// upstreamCalls is how many grants and lists one operation may ask for, and how many calls one
	// list may take.
	upstreamCalls int
	sdl           string
	budget        budget
}

// readKey names what a request reads once: a grant or a part of a list.
type readKey struct {
	resource upstream.Resource
	pk       upstream.PK
	list     string // the query's name
	revoked  bool
}

// read is one read in one request; all fields, aliases and entities that want the same share it.
type read struct {
	once sync.Once
	err  error
	// shown tells that there is something to show, and freshness how fresh it is.
	shown      bool
	freshness  cache.Result[struct{}]
	grant      *upstream.Grant
	rows       *upstream.Rows
	revocation Revocation
}

// errNotRead stands for a read that panicked, for those who share it.
var errNotRead = errors.New("the shared read did not end")

// credential judges the request's credential, before anything is asked.
func credential(req *Request) (upstream.Credential, error) {
	if req.Credential.IsZero() {
		return upstream.Credential{}, &upstream.Error{Kind: upstream.Unauthenticated}
	}
	return req.Credential, nil
}

// share makes the request's one read of a key, or waits for it.
func (r *Resolver) share(ctx context.Context, key readKey, do func(cred upstream.Credential, shared *read) error) (*read, error) {
	req := FromContext(ctx)
	cred, err := credential(req)
	if err != nil {
		return nil, err
	}
	shared := req.read(key, r.upstreamCalls)
	if shared == nil {
		return nil, apierror.Over("OPERATION_UPSTREAM_CALLS", r.upstreamCalls, "The operation asks for more grants and lists")
	}
	shared.once.Do(func() {
		shared.err = errNotRead
		shared.err = do(cred, shared)
	})
	if shared.err != nil {
		return nil, shared.err
	}
	if cause := shared.freshness.Cause; cause != nil {
		req.noteStale(cause)
	}
	return shared, nil
}

// grant answers for every field that shows one grant. The id is parsed here, where data is read.
func (r *Resolver) grant(ctx context.Context, resource upstream.Resource, id string) (GrantRead, error) {
	pk, err := parseID("id", id)
	if err != nil {
		return GrantRead{}, err
	}
	shared, err := r.share(ctx, readKey{resource: resource, pk: pk}, func(cred upstream.Credential, shared *read) (err error) {
		got, err := r.Grants.Grant(ctx, cred, resource, pk)
		shared.grant, shared.freshness = got.Value, cache.With(got, struct{}{})
		shared.shown = err == nil && got.Value != nil
		return err
	})
	if err != nil {
		return GrantRead{}, err
	}
	return cache.With(shared.freshness, shared.grant), nil
}

// parseID reads a primary key that is the value of an argument.
func parseID(argument, id string) (upstream.PK, error) {
	pk, err := upstream.ParsePK(id)
	if err != nil {
		return 0, &apierror.Error{Code: apierror.BadUserInput, Message: argument + " must be a decimal integer from 1 to 2147483647, without sign, space or leading zero.", Err: err}
	}
	return pk, nil
}

// read returns the request's one read of a key, nil if it would be one more than the limit. What is
// cached counts as well: an operation must not fail for what others asked for a moment ago.
func (r *Request) read(key readKey, limit int) *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads == nil {
		r.reads = map[readKey]*read{}
	}
	shared, ok := r.reads[key]
	if !ok && len(r.reads) >= limit {
		return nil
	}
	if !ok {
		shared = &read{}
		r.reads[key] = shared
	}
	return shared
}

package graph

import (
	"context"
	"errors"
	"sync"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/graph/model"
	"authentik-graphql/upstream"
)

// CodeSource gives codes as the bearer of a credential may see them.
//
// An implementation never gives one caller what only another may see, returns values that nobody
// changes, and returns an *upstream.Error, an *Error that says more of one to the client, or the
// context's error when that ended first.
type CodeSource interface {
	AuthorizationCode(ctx context.Context, cred upstream.Credential, pk upstream.PK) (CodeRead, error)
}

// CodeRead is a code as it was read through the cache.
type CodeRead = cache.Result[*upstream.Code]

// Resolver is the root of all resolvers.
type Resolver struct {
	Codes CodeSource
	// Now is the clock by which codes are judged expired.
	Now func() time.Time

	// upstreamCalls is how many codes one operation may ask for.
	upstreamCalls int
}

// read is one code's read in one request; all fields, aliases and entities that want the code
// share it.
type read struct {
	once sync.Once
	CodeRead
	err error
}

// errNotRead stands for a read that panicked, for those who share it.
var errNotRead = errors.New("the shared read did not end")

// code answers for every field that shows a code. The id is parsed and the credential judged here,
// where data is read, before anything is asked.
func (r *Resolver) code(ctx context.Context, id string) (*model.AuthorizationCode, error) {
	pk, err := upstream.ParsePK(id)
	if err != nil {
		return nil, &Error{Code: CodeBadUserInput, Message: "id must be a decimal integer from 1 to 2147483647, without sign, space or leading zero.", Err: err}
	}
	req := FromContext(ctx)
	if req.Credential.IsZero() {
		return nil, &upstream.Error{Kind: upstream.Unauthenticated}
	}
	shared := req.read(pk, r.upstreamCalls)
	if shared == nil {
		return nil, over("OPERATION_UPSTREAM_CALLS", r.upstreamCalls, "The operation asks for more codes")
	}
	shared.once.Do(func() {
		shared.err = errNotRead
		shared.CodeRead, shared.err = r.Codes.AuthorizationCode(ctx, req.Credential, pk)
	})
	if shared.err != nil {
		return nil, shared.err
	}
	if shared.Cause != nil {
		req.noteStale(shared.Cause)
	}
	return mapCode(shared.Value, shared.FetchedAt, r.Now()), nil
}

// read returns the request's one read of a code, nil if it would be one more than the limit. What is
// cached counts as well: an operation must not fail for what others asked for a moment ago.
func (r *Request) read(pk upstream.PK, limit int) *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads == nil {
		r.reads = map[upstream.PK]*read{}
	}
	shared, ok := r.reads[pk]
	if !ok && len(r.reads) >= limit {
		return nil
	}
	if !ok {
		shared = &read{}
		r.reads[pk] = shared
	}
	return shared
}

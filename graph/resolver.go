package graph

import (
	"context"
	"errors"
	"sync"
	"time"

	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// GrantSource reads and revokes grants, and reads their providers, on behalf of a caller.
//
// An implementation never gives one caller what only another may see. It returns values that are not changed
// afterwards, and an [upstream.Error], an [apierror.Error], or the context's error when that ended first.
type GrantSource interface {
	Grant(ctx context.Context, caller grants.Caller, resource upstream.Resource, pk upstream.PK) (GrantRead, error)
	List(ctx context.Context, caller grants.Caller, resource upstream.Resource, q upstream.Query) (ListRead, error)
	Revoke(ctx context.Context, caller grants.Caller, resource upstream.Resource, pk upstream.PK) (grants.Revocation, error)
	// Providers returns a read for each primary key.
	Providers(ctx context.Context, caller grants.Caller, pks []upstream.PK) []grants.ProviderRead
	// CachedProvider does not ask authentik.
	CachedProvider(ctx context.Context, caller grants.Caller, pk upstream.PK) (grants.ProviderRead, bool)
}

// GrantRead and ListRead are a grant and a part of a list, as they were read through the cache.
type (
	GrantRead = grants.Read[*upstream.Grant]
	ListRead  = grants.Read[*upstream.Rows]
)

// Resolver is the root of all resolvers.
type Resolver struct {
	Grants GrantSource
	// Redacted reports whether a field such as `User.email` is null for every caller; nil redacts none.
	Redacted func(coordinate string) bool
	// Now is the clock by which grants expire.
	Now func() time.Time

	// upstreamCalls is how many grants and lists one operation may read, how many providers beside them, and
	// how many calls one list may take.
	upstreamCalls int
	sdl           string
	budget        responseBudget
}

// readKey identifies what a request reads once: a row or a part of a list.
type readKey struct {
	resource upstream.Resource
	pk       upstream.PK
	list     string // the query's key
	revoked  bool
}

// read is one read in one request. All fields, aliases and entities that want the same share it.
type read struct {
	once      sync.Once
	err       error
	value     any              // a grants.Read
	freshness grants.Freshness // of the value
}

// shown reports whether the response shows a value of the read.
func (r *read) shown() bool { return !r.freshness.FreshUntil.IsZero() }

// errNotRead is the error of a read that panicked, for the others that share it.
var errNotRead = errors.New("the shared read did not end")

// share makes the request's one read of a key, or waits for it. It refuses a request without a credential.
func share[T any](ctx context.Context, r *Resolver, key readKey, do func(grants.Caller) (grants.Read[T], error)) (got grants.Read[T], err error) {
	req := FromContext(ctx)
	if req.Credential.IsZero() {
		return got, &upstream.Error{Kind: upstream.Unauthenticated}
	}
	shared := req.read(key, r.upstreamCalls)
	if shared == nil {
		return got, apierror.Over("OPERATION_UPSTREAM_CALLS", r.upstreamCalls, "The operation asks for more grants and lists")
	}
	shared.once.Do(func() {
		shared.err = errNotRead
		got, err := do(req.Caller)
		if shared.err = err; err == nil {
			shared.value, shared.freshness = got, got.Freshness
		}
	})
	if shared.err != nil {
		return got, shared.err
	}
	if cause := shared.freshness.Cause; cause != nil {
		req.noteStale(cause)
	}
	return shared.value.(grants.Read[T]), nil
}

// parseID reads a primary key that is the value of an argument.
func parseID(argument, id string) (upstream.PK, error) {
	pk, err := upstream.ParsePK(id)
	if err != nil {
		return 0, &apierror.Error{Code: apierror.BadUserInput, Message: argument + " must be a decimal integer from 1 to 2147483647, without sign, space or leading zero.", Err: err}
	}
	return pk, nil
}

func (r *Resolver) redacts(coordinate string) bool {
	return r.Redacted != nil && r.Redacted(coordinate)
}

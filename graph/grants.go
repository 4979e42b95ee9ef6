package graph

import (
	"context"
	"time"

	"authentik-graphql/graph/document"
	"authentik-graphql/graph/model"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// kind is a type of the schema whose objects are rows of authentik: where they are, how one is read, and
// how its value is shown.
type kind[V, T any] struct {
	resource upstream.Resource
	read     func(GrantSource, context.Context, grants.Caller, upstream.Resource, upstream.PK) (grants.Read[V], error)
	show     func(v V, fetchedAt, now time.Time) *T
}

type grantKind[T any] = kind[*upstream.Grant, T]

var (
	codes         = grantKind[model.AuthorizationCode]{upstream.AuthorizationCodes, GrantSource.Grant, mapCode}
	accessTokens  = grantKind[model.AccessToken]{upstream.AccessTokens, GrantSource.Grant, mapAccessToken}
	refreshTokens = grantKind[model.RefreshToken]{upstream.RefreshTokens, GrantSource.Grant, mapRefreshToken}
)

// one resolves a field that shows one object. The id is parsed here, where data is read.
func one[V, T any](ctx context.Context, r *Resolver, k kind[V, T], id string) (*T, error) {
	pk, err := parseID("id", id)
	if err != nil {
		return nil, err
	}
	read, err := share(ctx, r, readKey{resource: k.resource, pk: pk}, func(caller grants.Caller) (grants.Read[V], error) {
		return k.read(r.Grants, ctx, caller, k.resource, pk)
	})
	if err != nil {
		return nil, err
	}
	return k.show(read.Value, read.FetchedAt, r.Now()), nil
}

// listArgs are the arguments of a field that shows a page of a list.
type listArgs struct {
	first                 *int32
	after, user, provider *string
	order                 *model.GrantOrder
}

// maxListCalls is how many calls one list may take. A page takes one or two, and to find the position of
// a cursor in a list that has changed took a dozen at most, but authentik's pages may be smaller than
// ours.
const maxListCalls = 50

func (a listArgs) query(resource upstream.Resource) (q upstream.Query, err error) {
	q = upstream.Query{First: document.DefaultFirst}
	if a.first != nil {
		q.First = int(*a.first)
	}
	if q.First < 1 || q.First > document.MaxFirst {
		return q, apierror.New(apierror.BadUserInput, "first must be from 1 to 100.")
	}
	q.Oldest = a.order != nil && *a.order == model.GrantOrderOldestFirst
	if a.after != nil {
		position, ok := readCursor(*a.after, resource, q.Oldest)
		if !ok {
			return q, apierror.New(apierror.BadUserInput, "after must be a cursor of this list, in this order.")
		}
		q.After = &position
	}
	if a.user != nil {
		if q.User, err = parseID("user", *a.user); err != nil {
			return q, err
		}
	}
	if a.provider != nil {
		if q.Provider, err = parseID("provider", *a.provider); err != nil {
			return q, err
		}
	}
	return q, nil
}

// connection has the fields of every connection of the schema, to which it is converted.
type connection[T, E any] struct {
	Edges      []E
	Nodes      []T
	PageInfo   model.PageInfo
	TotalCount int32
}

// edge is every edge of the schema.
type edge[T any] interface {
	~struct {
		Cursor string `json:"cursor"`
		Node   T      `json:"node"`
	}
}

// page resolves a field that shows a page of a list.
func page[E edge[T], T any](ctx context.Context, r *Resolver, k grantKind[T], args listArgs) (*connection[T, E], error) {
	q, err := args.query(k.resource)
	if err != nil {
		return nil, err
	}
	read, err := r.list(ctx, k.resource, q)
	if err != nil {
		return nil, err
	}
	rows, now := read.Value, r.Now()
	p := &connection[T, E]{
		Edges:      make([]E, len(rows.Rows)),
		Nodes:      make([]T, len(rows.Rows)),
		PageInfo:   model.PageInfo{HasNextPage: rows.More, HasPreviousPage: rows.Offset > 0 || q.After != nil},
		TotalCount: int32(rows.Count), //nolint:gosec // a 32-bit number upstream
	}
	for i, g := range rows.Rows {
		cursor := writeCursor(upstream.Position{PK: g.PK, Offset: rows.Offset + i}, k.resource, q.Oldest)
		p.Nodes[i] = *k.show(g, read.FetchedAt, now)
		p.Edges[i] = E{Cursor: cursor, Node: p.Nodes[i]}
		if i == 0 {
			p.PageInfo.StartCursor = &cursor
		}
		p.PageInfo.EndCursor = &cursor
	}
	return p, nil
}

// list resolves every field that shows a page.
func (r *Resolver) list(ctx context.Context, resource upstream.Resource, q upstream.Query) (ListRead, error) {
	q.CallCount, q.MaxCalls = &FromContext(ctx).listCalls, min(r.upstreamCalls, maxListCalls)
	return share(ctx, r, readKey{resource: resource, list: q.Key()}, func(caller grants.Caller) (ListRead, error) {
		slot := FromContext(ctx).listSlot()
		defer slot.Unlock()
		if q.CallCount.Load() >= int64(r.upstreamCalls) {
			return ListRead{}, &upstream.Error{Kind: upstream.Unavailable, RetryAfter: time.Second, Err: upstream.ErrTooManyCalls}
		}
		got, err := r.Grants.List(ctx, caller, resource, q)
		if err == nil { // a stored response must not outlive a row that it shows as valid
			got.FreshUntil = firstEnd(got, r.Now())
		}
		return got, err
	})
}

// firstEnd is when a list stops being fresh, or when the first of its valid rows expires.
func firstEnd(list ListRead, now time.Time) time.Time {
	until := list.FreshUntil
	for _, g := range list.Value.Rows {
		if g.EndsAt.After(now) && g.EndsAt.Before(until) {
			until = g.EndsAt
		}
	}
	return until
}

// revocation is the payload of a mutation before it has its type.
type revocation[T any] struct {
	id             string
	grant          *T
	outcomeUnknown bool
}

// revoke resolves a mutation. A request revokes an id once.
func revoke[T any](ctx context.Context, r *Resolver, k grantKind[T], id string) (revocation[T], error) {
	pk, err := parseID("id", id)
	if err != nil {
		return revocation[T]{}, err
	}
	done, err := share(ctx, r, readKey{resource: k.resource, pk: pk, revoked: true}, func(caller grants.Caller) (done grants.Read[grants.Revocation], err error) {
		done.Value, err = r.Grants.Revoke(ctx, caller, k.resource, pk)
		return done, err
	})
	if err != nil {
		return revocation[T]{}, err
	}
	out := revocation[T]{id: pk.String(), outcomeUnknown: done.Value.OutcomeUnknown}
	if was := done.Value.Grant; was != nil {
		out.grant = k.show(was.Value, was.FetchedAt, r.Now())
	}
	return out, nil
}

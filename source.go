package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// cached is what the cache keeps: a grant or a part of a list.
type cached struct {
	grant *upstream.Grant
	rows  *upstream.Rows
}

// grantSource reads grants through the cache from authentik: the one place where the two meet. What
// is redacted is dropped in the load, so that no cache ever holds it, and the set of redacted
// fields is part of every key.
type grantSource struct {
	cache     *cache.Cache[cached]
	client    *upstream.Client
	gate      *gate
	log       *slog.Logger
	redaction grants.Redaction
	variant   string
	// ownToken: the credential is this service's, not the caller's.
	ownToken bool
}

var _ graph.GrantSource = (*grantSource)(nil)

func newGrantSource(c *cache.Cache[cached], client *upstream.Client, gate *gate, redaction grants.Redaction, log *slog.Logger) *grantSource {
	return &grantSource{
		cache: c, client: client, gate: gate, log: log,
		redaction: redaction, variant: redaction.String(),
	}
}

// Grant implements [graph.GrantSource].
func (s *grantSource) Grant(ctx context.Context, caller grants.Caller, resource upstream.Resource, pk upstream.PK) (graph.GrantRead, error) {
	key, err := cache.NewKey(caller.Digest, string(resource), int32(pk), s.variant)
	if err != nil {
		return graph.GrantRead{}, err
	}
	read, err := s.cache.Get(ctx, key, func(ctx context.Context) (cache.Entry[cached], error) {
		var answer upstream.Answer[*upstream.Grant]
		err := s.gate.pass(ctx, caller.Digest, func() (err error) {
			answer, err = s.client.Retrieve(ctx, caller.Credential, resource, pk)
			return err
		})
		if err != nil {
			return cache.Entry[cached]{}, err
		}
		graph.FromContext(ctx).NoteUpstream(200, answer.AuthentikID)
		return s.entry(resource, answer.Value, answer.FetchedAt), nil
	})
	return readOf(read, read.Value.grant), s.public(err)
}

// readOf is a read of a part of what the cache gave.
func readOf[T any](r cache.Result[cached], value T) grants.Read[T] {
	return grants.Read[T]{Value: value, Freshness: grants.Freshness{
		FetchedAt: r.FetchedAt, FreshUntil: r.FreshUntil,
		Cached: r.Source != cache.FromOrigin, Replaced: r.Replaced,
		Stale: r.Stale, Cause: r.Cause, Dependency: r.Dependency(),
	}}
}

// entry makes the cache's entry of a grant that nobody else holds yet.
func (s *grantSource) entry(resource upstream.Resource, g *upstream.Grant, fetchedAt time.Time) cache.Entry[cached] {
	e := cache.Entry[cached]{
		Value:     cached{grant: g},
		FetchedAt: fetchedAt,
		EndsAt:    g.EndsAt,
		// authentik says that the grant lives, and its time says that it does not: only asking
		// authentik tells.
		FreshOnly: g.Expires != nil && g.EndsAt.IsZero() && !g.Expired,
	}
	s.redaction.Apply(resource, g)
	return e
}

// public makes an error one that a caller is told.
func (s *grantSource) public(err error) error {
	if errors.Is(err, cache.ErrRevoked) {
		err = &upstream.Error{Kind: upstream.NotFound, Err: err}
	}
	if s.ownToken {
		err = ownTokenError(err)
	}
	return err
}

// List implements [graph.GrantSource]. Its rows are kept as grants as well, for reads of one.
func (s *grantSource) List(ctx context.Context, caller grants.Caller, resource upstream.Resource, q upstream.Query) (graph.ListRead, error) {
	key, err := cache.NewListKey(caller.Digest, string(resource), s.variant+"|"+q.Key(), s.cache.ListVersion(ctx, string(resource)))
	if err != nil {
		return graph.ListRead{}, err
	}
	read, err := s.cache.Get(ctx, key, func(ctx context.Context) (cache.Entry[cached], error) {
		asked := s.cache.Subscription()
		answer, err := s.client.List(ctx, caller.Credential, resource, q, func(call func() error) error { return s.gate.pass(ctx, caller.Digest, call) })
		if err != nil {
			return cache.Entry[cached]{}, err
		}
		graph.FromContext(ctx).NoteUpstream(200, answer.AuthentikID)
		list := cache.Entry[cached]{Value: cached{rows: answer.Value}, FetchedAt: answer.FetchedAt}
		for _, g := range answer.Value.Rows {
			e := s.entry(resource, g, answer.FetchedAt)
			list.FreshOnly = list.FreshOnly || e.FreshOnly
			if row, err := cache.NewKey(caller.Digest, string(resource), int32(g.PK), s.variant); err == nil {
				s.cache.Prime(ctx, row, e, asked)
			}
		}
		return list, nil
	})
	return readOf(read, s.living(resource, read.Value.rows)), s.public(err)
}

// ownTokenError tells the caller that it is not their token that authentik rejects.
func ownTokenError(err error) error {
	if e, ok := errors.AsType[*upstream.Error](err); ok && e.Kind == upstream.Unauthenticated {
		return &apierror.Error{Code: apierror.UpstreamError, Message: "authentik rejects this service's own token.", Err: err}
	}
	return err
}

// living takes the rows out of a list that this process knows to be revoked: a Redis that lost its
// last writes may name the lists of before again.
func (s *grantSource) living(resource upstream.Resource, rows *upstream.Rows) *upstream.Rows {
	if rows == nil {
		return nil
	}
	buried := func(g *upstream.Grant) bool {
		row, err := cache.NewResourceID(string(resource), int32(g.PK))
		return err == nil && s.cache.Revoked(row)
	}
	if !slices.ContainsFunc(rows.Rows, buried) {
		return rows
	}
	left := *rows
	left.Rows = slices.DeleteFunc(slices.Clone(rows.Rows), buried)
	left.Count -= len(rows.Rows) - len(left.Rows)
	return &left
}

// Revoke implements [graph.GrantSource]. It goes on when the caller leaves: half of it would leave
// the cache saying what is no longer so.
func (s *grantSource) Revoke(ctx context.Context, caller grants.Caller, resource upstream.Resource, pk upstream.PK) (grants.Revocation, error) {
	turn := ctx // for which a caller who left does not wait
	ctx = context.WithoutCancel(ctx)
	key, err := cache.NewKey(caller.Digest, string(resource), int32(pk), s.variant)
	if err != nil {
		return grants.Revocation{}, err
	}
	var done grants.Revocation
	if was, ok := s.cache.Peek(ctx, key); ok && was.Value.grant != nil {
		read := readOf(was, was.Value.grant)
		done.Grant = &read
	}
	err = s.gate.pass(turn, caller.Digest, func() error {
		outcomeUnknown, err := s.client.Delete(ctx, caller.Credential, resource, pk)
		if done.OutcomeUnknown = outcomeUnknown.Value; err == nil && !done.OutcomeUnknown {
			graph.FromContext(ctx).NoteUpstream(http.StatusNoContent, outcomeUnknown.AuthentikID)
		}
		return err
	})
	switch {
	case err == nil && !done.OutcomeUnknown:
		if err := s.cache.Revoke(ctx, key.ResourceID()); err != nil {
			s.log.WarnContext(ctx, "other processes may show a revoked grant until it is not fresh any more", "error", err)
		}
	case err == nil || mayHaveDeleted(err):
		if err := s.cache.Drop(ctx, key); err != nil {
			s.log.WarnContext(ctx, "Redis may show a grant that may be revoked until it is not fresh any more", "error", err)
		}
	}
	if err != nil {
		return grants.Revocation{}, s.public(err)
	}
	return done, nil
}

// mayHaveDeleted tells the failures after which what this caller's cache says may be wrong.
func mayHaveDeleted(err error) bool {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return true
	}
	switch e.Kind {
	case upstream.Unauthenticated, upstream.Forbidden, upstream.Unlicensed, upstream.RateLimited, upstream.BadInput:
		return false
	}
	return !e.NotSent()
}

// judge tells the cache what authentik's errors mean.
func classify(err error) cache.Outcome {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return cache.Error
	}
	switch e.Kind {
	case upstream.NotFound, upstream.Forbidden:
		return cache.Denied
	case upstream.Unauthenticated:
		return cache.Unauthenticated
	case upstream.Failed, upstream.Unavailable, upstream.Timeout:
		return cache.Unavailable
	}
	return cache.Error
}

// listPrefix begins a stored list, and no stored grant.
const listPrefix = `{"offset":`

// codec keeps grants and lists in memory and in Redis, and there authentik's errors for them. An error that authentik
// did not make stays in the process: another may well get through.
var codec = cache.Codec[cached]{
	Encode: func(b []byte, c cached) []byte {
		if c.rows != nil {
			return upstream.AppendRows(b, c.rows)
		}
		return upstream.AppendGrant(b, c.grant)
	},
	Decode: func(stored string) (c cached, err error) {
		if strings.HasPrefix(stored, listPrefix) {
			c.rows, err = upstream.RestoreRows(stored)
		} else {
			c.grant, err = upstream.RestoreGrant(stored)
		}
		return c, err
	},
	EncodeError: func(err error) []byte {
		e, ok := errors.AsType[*upstream.Error](err)
		if !ok || e.NotSent() {
			return nil
		}
		return upstream.EncodeError(e)
	},
	DecodeError: func(b []byte) (origin, err error) {
		e, err := upstream.RestoreError(b)
		if err != nil {
			return nil, err
		}
		return e, nil
	},
}

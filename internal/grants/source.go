package grants

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/upstream"
)

// Options of a [Source].
type Options struct {
	Cache  *cache.Cache[Value]
	Client *upstream.Client
	// Redaction is dropped from what authentik gives before anything is cached.
	Redaction Redaction
	// Concurrency is how many calls to authentik the client runs at a time.
	Concurrency int
	// Accepted are tokens that authentik is known to accept.
	Accepted []Digest
	// OwnToken reports that the credentials are this service's token, not the callers' own.
	OwnToken bool
	// Answered, unless it is nil, receives the status and request id of each successful call to authentik,
	// with the context of the request that it was made for.
	Answered func(ctx context.Context, status int, authentikID string)
	Logger   *slog.Logger
	Now      func() time.Time
}

// Source reads grants from authentik through the cache, and revokes them.
type Source struct {
	Options
	admission *admission
	// variant is the redaction's part of every key, so that processes of different settings share nothing.
	variant string
}

// NewSource makes a Source.
func NewSource(o Options) *Source {
	s := &Source{Options: o, admission: newAdmission(o.Concurrency, o.Now), variant: o.Redaction.String()}
	for _, token := range o.Accepted {
		s.admission.record(token, nil)
	}
	return s
}

// Grant reads one grant. Its error is an [upstream.Error], an [apierror.Error] or the context's.
func (s *Source) Grant(ctx context.Context, caller Caller, resource upstream.Resource, pk upstream.PK) (Read[*upstream.Grant], error) {
	key, err := cache.NewKey(caller.Digest, string(resource), int32(pk), s.variant)
	if err != nil {
		return Read[*upstream.Grant]{}, err
	}
	return read[*upstream.Grant](ctx, s, key, func(ctx context.Context) (cache.Entry[Value], error) {
		answer, err := call(ctx, s, caller, func() (upstream.Answer[*upstream.Grant], error) {
			return s.Client.Retrieve(ctx, caller.Credential, resource, pk)
		})
		if err != nil {
			return cache.Entry[Value]{}, err
		}
		return s.entry(resource, answer.Value, answer.FetchedAt), nil
	})
}

// List reads a part of a list. Its rows are cached as grants as well, for reads of one.
func (s *Source) List(ctx context.Context, caller Caller, resource upstream.Resource, q upstream.Query) (Read[*upstream.Rows], error) {
	key, err := cache.NewListKey(caller.Digest, string(resource), s.variant+"|"+q.Key(), s.Cache.ListVersion(ctx, string(resource)))
	if err != nil {
		return Read[*upstream.Rows]{}, err
	}
	got, err := read[*upstream.Rows](ctx, s, key, func(ctx context.Context) (cache.Entry[Value], error) {
		asked := s.Cache.Subscription()
		answer, err := s.Client.List(ctx, caller.Credential, resource, q, func(call func() error) error {
			return s.admission.Do(ctx, caller.Digest, call)
		})
		if err != nil {
			return cache.Entry[Value]{}, err
		}
		s.answered(ctx, http.StatusOK, answer.AuthentikID)
		list := cache.Entry[Value]{Value: answer.Value, FetchedAt: answer.FetchedAt}
		for _, g := range answer.Value.Rows {
			e := s.entry(resource, g, answer.FetchedAt)
			list.FreshOnly = list.FreshOnly || e.FreshOnly
			if row, err := cache.NewKey(caller.Digest, string(resource), int32(g.PK), s.variant); err == nil {
				s.Cache.Prime(row, e, asked)
			}
		}
		return list, nil
	})
	if err == nil {
		got.Value = s.withoutRevoked(resource, got.Value)
	}
	return got, err
}

// Revoke deletes a grant. It goes on when the caller leaves: half of it would leave a revoked grant in the
// caches.
func (s *Source) Revoke(ctx context.Context, caller Caller, resource upstream.Resource, pk upstream.PK) (Revocation, error) {
	key, err := cache.NewKey(caller.Digest, string(resource), int32(pk), s.variant)
	if err != nil {
		return Revocation{}, err
	}
	carriedThrough := context.WithoutCancel(ctx)
	var done Revocation
	if cached, ok := s.Cache.Peek(carriedThrough, key); ok {
		before := readOf[*upstream.Grant](cached)
		done.Grant = &before
	}
	err = s.admission.Do(ctx, caller.Digest, func() error {
		unknown, err := s.Client.Delete(carriedThrough, caller.Credential, resource, pk)
		if done.OutcomeUnknown = unknown.Value; err == nil && !done.OutcomeUnknown {
			s.answered(ctx, http.StatusNoContent, unknown.AuthentikID)
		}
		return err
	})
	switch {
	case err == nil && !done.OutcomeUnknown:
		if err := s.Cache.Revoke(carriedThrough, key.ResourceID()); err != nil {
			s.Logger.WarnContext(ctx, "other processes may show a revoked grant until it is no longer fresh", "error", err)
		}
	case err == nil || mayHaveDeleted(err):
		if err := s.Cache.Drop(carriedThrough, key); err != nil {
			s.Logger.WarnContext(ctx, "Redis may show a grant that may be revoked until it is no longer fresh", "error", err)
		}
	}
	if err != nil {
		return Revocation{}, s.mapError(err)
	}
	return done, nil
}

// mayHaveDeleted reports whether a deletion that failed may have deleted its row.
func mayHaveDeleted(err error) bool {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return true
	}
	switch e.Kind {
	case upstream.Unauthenticated, upstream.Forbidden, upstream.Unlicensed, upstream.RateLimited, upstream.BadInput:
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden: // of a proxy, which refused it
		return false
	}
	return !e.NotSent()
}

// read reads a value of any type through the cache.
func read[T any](ctx context.Context, s *Source, key cache.Key, load cache.Loader[Value]) (Read[T], error) {
	r, err := s.Cache.Get(ctx, key, load)
	if err != nil {
		return Read[T]{}, s.mapError(err)
	}
	return readOf[T](r), nil
}

func readOf[T any](r cache.Result[Value]) Read[T] {
	return Read[T]{r.Value.(T), Freshness{
		FetchedAt: r.FetchedAt, FreshUntil: r.FreshUntil,
		Cached: r.Source != cache.FromOrigin, Replaced: r.Replaced,
		Stale: r.Stale, Cause: r.Cause, Dependency: r.Dependency(),
	}}
}

// call makes a call to authentik once the caller's token is admitted.
func call[T any](ctx context.Context, s *Source, caller Caller, do func() (upstream.Answer[T], error)) (answer upstream.Answer[T], err error) {
	err = s.admission.Do(ctx, caller.Digest, func() (err error) {
		answer, err = do()
		return err
	})
	if err == nil {
		s.answered(ctx, http.StatusOK, answer.AuthentikID)
	}
	return answer, err
}

func (s *Source) answered(ctx context.Context, status int, authentikID string) {
	if s.Answered != nil {
		s.Answered(ctx, status, authentikID)
	}
}

// entry redacts a grant that nothing else refers to yet, and makes the cache's entry of it.
func (s *Source) entry(resource upstream.Resource, g *upstream.Grant, fetchedAt time.Time) cache.Entry[Value] {
	e := cache.Entry[Value]{
		Value:     g,
		FetchedAt: fetchedAt,
		EndsAt:    g.EndsAt,
		// authentik says that the grant is alive although its time is over: only authentik can tell.
		FreshOnly: g.Expires != nil && g.EndsAt.IsZero() && !g.Expired,
	}
	s.Redaction.Apply(resource, g)
	return e
}

// withoutRevoked is a list without the rows that this process knows to be revoked: after a Redis lost its
// last writes, it may name a list from before the revocation.
func (s *Source) withoutRevoked(resource upstream.Resource, list *upstream.Rows) *upstream.Rows {
	revoked := func(g *upstream.Grant) bool {
		id, err := cache.NewResourceID(string(resource), int32(g.PK))
		return err == nil && s.Cache.Revoked(id)
	}
	if !slices.ContainsFunc(list.Rows, revoked) {
		return list
	}
	left := *list
	left.Rows = slices.DeleteFunc(slices.Clone(list.Rows), revoked)
	left.Count -= len(list.Rows) - len(left.Rows)
	return &left
}

// mapError turns the cache's own error into authentik's, and a rejection of this service's own token into an
// error that does not blame the caller's.
func (s *Source) mapError(err error) error {
	if errors.Is(err, cache.ErrRevoked) {
		return &upstream.Error{Kind: upstream.NotFound, Err: err}
	}
	if e, ok := errors.AsType[*upstream.Error](err); ok && s.OwnToken && e.Kind == upstream.Unauthenticated {
		return &apierror.Error{Code: apierror.UpstreamError, Message: "authentik rejects this service's own token.", Err: err}
	}
	return err
}

package grants

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// ProviderResource is the kind of resource that a provider is in the cache, which has a policy of its own for it:
// [cache.Options.Policies].
const ProviderResource = "oauth2_providers"

const (
	// maxProvidersAtOnce is how many providers authentik is asked for at a time, for one call of Providers.
	maxProvidersAtOnce = 8
	// maxSingleProviders is how many missing ones are read one by one. For more, one list costs authentik less:
	// a provider takes it 29 ms, refused or not, and a list 4 ms for each beside 30.
	maxSingleProviders = 5
)

// provider is what authentik says to a caller about a provider: the provider, or that the caller may not view it.
// A refusal is a value, because it costs authentik as much, and is cached for as long.
type provider struct {
	Provider *upstream.Provider
	Refusal  *upstream.Error
}

// ProviderRead is a provider, or authentik's refusal, as it was read through the cache.
type ProviderRead struct {
	Read[*upstream.Provider]
	// Refusal is of kind Forbidden or NotFound if authentik does not show the provider to the caller. There is no
	// value then, and the freshness is that of the refusal.
	Refusal *upstream.Error
	// Err is why there is neither. There is no freshness then.
	Err error
}

// Providers reads providers for a caller, in the order of their primary keys in pks, which are from 1 on and differ.
func (s *Source) Providers(ctx context.Context, caller Caller, pks []upstream.PK) []ProviderRead {
	l := &providerLoads{source: s, caller: caller, wanted: pks, slots: semaphore.NewWeighted(maxProvidersAtOnce)}
	l.byList = len(pks) > maxSingleProviders && s.missing(ctx, caller, pks) > maxSingleProviders
	reads := make([]ProviderRead, len(pks))
	eachOf(pks, func(i int, pk upstream.PK) {
		if reads[i].Err = ctx.Err(); reads[i].Err == nil {
			reads[i] = s.provider(ctx, caller, pk, func(ctx context.Context) (cache.Entry[Value], error) { return l.load(ctx, pk) })
		}
	}, func(i int, panicked error) { reads[i].Err = panicked })
	return reads
}

// CachedProvider returns a provider if it is cached and fresh.
func (s *Source) CachedProvider(ctx context.Context, caller Caller, pk upstream.PK) (r ProviderRead, ok bool) {
	key, err := s.providerKey(caller, pk)
	if err != nil {
		return r, false
	}
	cached, ok := s.Cache.Peek(ctx, key)
	if ok {
		r = providerReadOf(readOf[provider](cached))
	}
	return r, ok
}

func (s *Source) providerKey(caller Caller, pk upstream.PK) (cache.Key, error) {
	return cache.NewKey(caller.Digest, ProviderResource, int32(pk), s.variant)
}

func (s *Source) provider(ctx context.Context, caller Caller, pk upstream.PK, load cache.Loader[Value]) ProviderRead {
	key, err := s.providerKey(caller, pk)
	if err != nil {
		return ProviderRead{Err: err}
	}
	got, err := read[provider](ctx, s, key, load)
	if err != nil {
		return ProviderRead{Err: err}
	}
	return providerReadOf(got)
}

func providerReadOf(r Read[provider]) ProviderRead {
	return ProviderRead{Read: Read[*upstream.Provider]{Value: r.Value.Provider, Freshness: r.Freshness}, Refusal: r.Value.Refusal}
}

// missing counts the providers that are not cached.
func (s *Source) missing(ctx context.Context, caller Caller, pks []upstream.PK) int {
	var n atomic.Int64
	eachOf(pks, func(_ int, pk upstream.PK) {
		if _, cached := s.CachedProvider(ctx, caller, pk); !cached {
			n.Add(1)
		}
	}, func(int, error) {})
	return int(n.Load())
}

// eachOf calls do for each primary key, some at a time, and recovered if do panics.
func eachOf(pks []upstream.PK, do func(i int, pk upstream.PK), recovered func(i int, err error)) {
	var group errgroup.Group
	group.SetLimit(maxProvidersAtOnce)
	for i, pk := range pks {
		group.Go(func() error {
			defer func() {
				if p := recover(); p != nil {
					recovered(i, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
				}
			}()
			do(i, pk)
			return nil
		})
	}
	_ = group.Wait() // it has no error
}

// providerLoads are the loads of the providers that one call of [Source.Providers] finds missing. Their callers do
// not always wait for them: the slots bound how many calls run.
type providerLoads struct {
	source *Source
	caller Caller
	wanted []upstream.PK
	slots  *semaphore.Weighted
	byList bool

	once   sync.Once
	list   upstream.Providers
	err    error
	readAt time.Time
}

var errNotRead = errors.New("grants: a read of providers did not end")

// load asks authentik for one provider, or finds it in the list.
func (l *providerLoads) load(ctx context.Context, pk upstream.PK) (e cache.Entry[Value], err error) {
	if !l.byList {
		return l.single(ctx, pk)
	}
	l.once.Do(func() {
		l.err = errNotRead // if it panics
		l.err = l.readList(ctx)
	})
	e.FetchedAt = l.readAt
	if refusal := refusalOf(l.err); refusal != nil {
		return refused(refusal, l.readAt), nil
	}
	if failed, ok := errors.AsType[*upstream.Error](l.err); ok && failed.Kind == upstream.InvalidResponse {
		return l.single(ctx, pk) // one row spoils a list, or it is over the cap
	}
	if l.err != nil {
		return e, l.err
	}
	for _, p := range l.list.Rows {
		if p.PK == pk {
			e.Value = provider{Provider: p}
			return e, nil
		}
	}
	if l.list.More { // it may be on another page
		return l.single(ctx, pk)
	}
	return refused(&upstream.Error{Kind: upstream.NotFound, Status: http.StatusNotFound}, l.readAt), nil
}

// single asks authentik for one provider.
func (l *providerLoads) single(ctx context.Context, pk upstream.PK) (e cache.Entry[Value], err error) {
	if err := l.slots.Acquire(ctx, 1); err != nil {
		return e, turnError(ctx)
	}
	defer l.slots.Release(1)
	s := l.source
	answer, err := call(ctx, s, l.caller, func() (upstream.Answer[*upstream.Provider], error) {
		return s.Client.Provider(ctx, l.caller.Credential, pk)
	})
	if refusal := refusalOf(err); refusal != nil {
		return refused(refusal, s.Now()), nil
	}
	if err != nil {
		return e, err
	}
	s.Redaction.ApplyToProvider(answer.Value)
	return cache.Entry[Value]{Value: provider{Provider: answer.Value}, FetchedAt: answer.FetchedAt}, nil
}

// readList reads the list. Its other rows are cached as well, as they are there.
func (l *providerLoads) readList(ctx context.Context) error {
	s := l.source
	asked := s.Cache.Subscription()
	answer, err := call(ctx, s, l.caller, func() (upstream.Answer[upstream.Providers], error) {
		return s.Client.Providers(ctx, l.caller.Credential)
	})
	l.readAt = s.Now()
	if err != nil {
		return err
	}
	l.list, l.readAt = answer.Value, answer.FetchedAt
	for _, p := range l.list.Rows {
		s.Redaction.ApplyToProvider(p)
		if key, err := s.providerKey(l.caller, p.PK); err == nil && !slices.Contains(l.wanted, p.PK) {
			s.Cache.Prime(key, cache.Entry[Value]{Value: provider{Provider: p}, FetchedAt: l.readAt}, asked)
		}
	}
	return nil
}

// refused is the cache's entry of a refusal.
func refused(refusal *upstream.Error, at time.Time) cache.Entry[Value] {
	return cache.Entry[Value]{Value: provider{Refusal: refusal}, FetchedAt: at, Denial: true}
}

// refusalOf returns an error by which authentik does not show something to a caller, nil for any other.
func refusalOf(err error) *upstream.Error {
	e, ok := errors.AsType[*upstream.Error](err)
	if ok && (e.Kind == upstream.Forbidden || e.Kind == upstream.NotFound) {
		return e
	}
	return nil
}

package grants

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// ProviderResource is the kind of resource that a provider is in the cache, which has a policy of its own for it:
// [cache.Options.Policies].
const ProviderResource = "oauth2_providers"

const (
	// maxProvidersAtOnce is how many providers are read at a time for one request.
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

// ProviderRead is a provider as it was read through the cache. With an Err there is none. If authentik refused it,
// the Err is an [upstream.Error] of kind Forbidden or NotFound and the freshness is that of the refusal. If it could
// not be asked, there is no freshness.
type ProviderRead struct {
	Read[*upstream.Provider]
	Err error
}

// Refused reports whether authentik said that the caller may not view the provider, or that there is none.
func (r ProviderRead) Refused() bool { return r.Err != nil && !r.FreshUntil.IsZero() }

// Providers reads providers for a caller, in the order of their primary keys in pks, which are from 1 on and differ.
func (s *Source) Providers(ctx context.Context, caller Caller, pks []upstream.PK) []ProviderRead {
	load := s.loadProvider
	if len(pks) > maxSingleProviders && s.missing(ctx, caller, pks) > maxSingleProviders {
		load = (&providerList{source: s, wanted: pks}).load
	}
	reads := make([]ProviderRead, len(pks))
	eachOf(pks, func(i int, pk upstream.PK) {
		reads[i] = s.provider(ctx, caller, pk, func(ctx context.Context) (cache.Entry[Value], error) {
			return load(ctx, caller, pk)
		})
	})
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
	p := ProviderRead{Read: Read[*upstream.Provider]{Value: r.Value.Provider, Freshness: r.Freshness}}
	if r.Value.Refusal != nil {
		p.Err = r.Value.Refusal
	}
	return p
}

// missing counts the providers that are not cached.
func (s *Source) missing(ctx context.Context, caller Caller, pks []upstream.PK) int {
	var n atomic.Int64
	eachOf(pks, func(_ int, pk upstream.PK) {
		if _, cached := s.CachedProvider(ctx, caller, pk); !cached {
			n.Add(1)
		}
	})
	return int(n.Load())
}

// eachOf calls do for each primary key, some at a time.
func eachOf(pks []upstream.PK, do func(i int, pk upstream.PK)) {
	var group errgroup.Group
	group.SetLimit(maxProvidersAtOnce)
	for i, pk := range pks {
		group.Go(func() error { do(i, pk); return nil })
	}
	_ = group.Wait() // it has no error
}

// loadProvider asks authentik for one provider.
func (s *Source) loadProvider(ctx context.Context, caller Caller, pk upstream.PK) (e cache.Entry[Value], err error) {
	answer, err := call(ctx, s, caller, func() (upstream.Answer[*upstream.Provider], error) {
		return s.Client.Provider(ctx, caller.Credential, pk)
	})
	if refusal := refusalOf(err); refusal != nil {
		return cache.Entry[Value]{Value: provider{Refusal: refusal}, FetchedAt: s.Now()}, nil
	}
	if err != nil {
		return e, err
	}
	s.Redaction.ApplyToProvider(answer.Value)
	return cache.Entry[Value]{Value: provider{Provider: answer.Value}, FetchedAt: answer.FetchedAt}, nil
}

// refusalOf returns an error by which authentik does not show something to a caller, nil for any other.
func refusalOf(err error) *upstream.Error {
	e, ok := errors.AsType[*upstream.Error](err)
	if ok && (e.Kind == upstream.Forbidden || e.Kind == upstream.NotFound) {
		return e
	}
	return nil
}

var errListNotRead = errors.New("the list of providers was not read")

// providerList loads several providers for a caller by one list.
type providerList struct {
	source *Source
	wanted []upstream.PK
	once   sync.Once
	answer upstream.Answer[upstream.Providers]
	err    error
}

// load returns a provider of the list as if it had been read by itself.
func (l *providerList) load(ctx context.Context, caller Caller, pk upstream.PK) (e cache.Entry[Value], err error) {
	s := l.source
	l.once.Do(func() { l.read(ctx, caller) })
	e.FetchedAt = l.answer.FetchedAt
	if refusal := refusalOf(l.err); refusal != nil {
		return cache.Entry[Value]{Value: provider{Refusal: refusal}, FetchedAt: s.Now()}, nil
	}
	if l.err != nil {
		return e, l.err
	}
	for _, p := range l.answer.Value.Rows {
		if p.PK == pk {
			e.Value = provider{Provider: p}
			return e, nil
		}
	}
	if l.answer.Value.More { // it may be on another page
		return s.loadProvider(ctx, caller, pk)
	}
	e.Value = provider{Refusal: &upstream.Error{Kind: upstream.NotFound}}
	return e, nil
}

// read reads the list. Its other rows are cached as well, as they are there.
func (l *providerList) read(ctx context.Context, caller Caller) {
	s := l.source
	l.err = errListNotRead // if the call panics
	asked := s.Cache.Subscription()
	l.answer, l.err = call(ctx, s, caller, func() (upstream.Answer[upstream.Providers], error) {
		return s.Client.Providers(ctx, caller.Credential)
	})
	if l.err != nil {
		return
	}
	for _, p := range l.answer.Value.Rows {
		s.Redaction.ApplyToProvider(p)
		if key, err := s.providerKey(caller, p.PK); err == nil && !slices.Contains(l.wanted, p.PK) {
			s.Cache.Prime(key, cache.Entry[Value]{Value: provider{Provider: p}, FetchedAt: l.answer.FetchedAt}, asked)
		}
	}
}

package graph

import (
	"context"
	"testing"

	"github.com/caarlos0/env/v11"

	"authentik-graphql/graph/document"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// DefaultLimits are the limits without settings.
func DefaultLimits() (l document.Limits) {
	if err := env.ParseWithOptions(&l, env.Options{Environment: map[string]string{}}); err != nil {
		panic(err)
	}
	return l
}

// NewTestLibrary makes a library that no test fills.
func NewTestLibrary(t testing.TB, limits document.Limits) *document.Library {
	t.Helper()
	library, err := document.NewLibrary(document.Options{Schema: Schema(), Limits: limits, MaxBytes: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// NoProviders is the part of a [GrantSource] that shows no providers.
type NoProviders struct{}

func (NoProviders) Providers(_ context.Context, _ grants.Caller, pks []upstream.PK) []grants.ProviderRead {
	reads := make([]grants.ProviderRead, len(pks))
	for i := range reads {
		reads[i].Err = &upstream.Error{Kind: upstream.Unavailable}
	}
	return reads
}

func (NoProviders) CachedProvider(context.Context, grants.Caller, upstream.PK) (r grants.ProviderRead, ok bool) {
	return r, false
}

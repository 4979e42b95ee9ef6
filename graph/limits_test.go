package graph

import (
	"testing"

	"github.com/caarlos0/env/v11"

	"authentik-graphql/graph/document"
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

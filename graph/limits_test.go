package graph

import (
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

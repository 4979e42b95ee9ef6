package generated

import (
	"context"

	"authentik-graphql/graph/model"
)

// FederationResolver resolves the fields that federation adds to Query. The root resolver implements it.
type FederationResolver interface {
	// Entities returns an entity, or nil, for each representation. It adds its errors to the context.
	Entities(ctx context.Context, representations []map[string]any) []model.Entity
	// Service describes the subgraph.
	Service() model.Service
}

// gqlgen calls the two methods below for fields of these names, whether its federation plugin is used,
// which would generate them, or not. The plugin's ones lose the index of an entity that fails.

func (ec *executionContext) __resolve_entities(ctx context.Context, representations []map[string]any) []model.Entity {
	return ec.Resolvers.(FederationResolver).Entities(ctx, representations)
}

func (ec *executionContext) __resolve__service(context.Context) (model.Service, error) {
	return ec.Resolvers.(FederationResolver).Service(), nil
}

package graph

import (
	"context"
	"errors"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"golang.org/x/sync/errgroup"

	"authentik-graphql/graph/generated"
	"authentik-graphql/graph/model"
	"authentik-graphql/internal/apierror"
)

// maxEntitiesAtOnce is how many entities of one field are resolved at a time: half of the default
// concurrency towards authentik. More would only wait there, and each has two stacks: eight requests
// for a hundred codes held 12 MiB of them.
const maxEntitiesAtOnce = 32

var _ generated.FederationResolver = (*Resolver)(nil)

// Service resolves Query._service.
func (r *Resolver) Service() model.Service { return model.Service{Sdl: &r.sdl} }

// Entities resolves Query._entities. An entity that fails is null, and its error has its index in the
// path, by which a gateway knows it; the others are not affected.
func (r *Resolver) Entities(ctx context.Context, representations []map[string]any) []model.Entity {
	list := make([]model.Entity, len(representations))
	path := graphql.GetPath(ctx)
	var group errgroup.Group
	group.SetLimit(maxEntitiesAtOnce)
	req := FromContext(ctx)
	for i, representation := range representations {
		if req.stopped() != notStopped {
			break
		}
		group.Go(func() error {
			entity, err := r.entity(ctx, representation)
			if err == nil {
				list[i] = entity
			} else if r.budget.spend(ctx, req, errorBytes) {
				at := append(append(ast.Path{}, path...), ast.PathIndex(i))
				graphql.AddError(ctx, &gqlerror.Error{Err: err, Path: at, Message: err.Error()})
			}
			return nil
		})
	}
	_ = group.Wait() // it has no error: each is its entity's own
	return list
}

func (r *Resolver) entity(ctx context.Context, representation map[string]any) (entity model.Entity, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = graphql.GetOperationContext(ctx).Recover(ctx, p)
		}
	}()
	name, _ := representation["__typename"].(string)
	resolve := resolvable[name]
	if resolve == nil {
		return nil, apierror.New(apierror.BadUserInput, "This subgraph resolves entities of the types AuthorizationCode, AccessToken, RefreshToken and OAuth2Provider only.")
	}
	id, err := representationID(representation["id"])
	if err != nil {
		return nil, err
	}
	return resolve(ctx, r, id)
}

// resolvable has the types whose entities are resolved here. Other subgraphs may only refer to those
// of the other types.
var resolvable = map[string]func(ctx context.Context, r *Resolver, id string) (model.Entity, error){
	"AuthorizationCode": entityOf(codes),
	"AccessToken":       entityOf(accessTokens),
	"RefreshToken":      entityOf(refreshTokens),
	providerType: func(ctx context.Context, _ *Resolver, id string) (model.Entity, error) {
		p, err := unreadProvider(ctx, id)
		if err != nil {
			return nil, err
		}
		return p, nil
	},
}

func entityOf[V, T any, P interface {
	*T
	model.Entity
}](k kind[V, T]) func(ctx context.Context, r *Resolver, id string) (model.Entity, error) {
	return func(ctx context.Context, r *Resolver, id string) (model.Entity, error) {
		grant, err := one(ctx, r, k, id)
		if err != nil {
			return nil, err // not a nil pointer in an interface
		}
		return P(grant), nil
	}
}

// representationID reads an id like GraphQL's ID: a string or an integer.
func representationID(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case fmt.Stringer: // a number of the variables
		return v.String(), nil
	case int64: // a number of the document
		return graphql.UnmarshalID(v)
	}
	return "", &apierror.Error{Code: apierror.BadUserInput, Message: "An entity is identified by its id, a string or an integer.", Err: errors.New("representation without an id")}
}

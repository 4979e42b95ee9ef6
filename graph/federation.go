package graph

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/plugin/federation/fedruntime"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/internal/apierror"
)

// entitiesAtOnce is how many of them are resolved at a time: half of what may be asked of authentik
// at once. More would only wait there, each with two stacks: eight requests for a hundred codes
// had 12 MiB of them.
const entitiesAtOnce = 32

// federation answers Query._service, Query._entities and the refusal of introspection in place of
// the generated code, which refuses _service when introspection is off, loses the index of a
// failed entity, fails a whole group of entities for one it cannot read, and would resolve types
// whose key says resolvable: false.
type federation struct {
	resolver *Resolver
	sdl      string
	// representations is how many entities one _entities field may ask for.
	representations int
	enabled         bool
	budget          budget
}

// errNotResolved answers for an entity that other subgraphs may only refer to. The generated
// resolvers of those types return it too, although the middleware answers before them.
var errNotResolved = apierror.New(apierror.BadUserInput, "This subgraph resolves entities of the types AuthorizationCode, AccessToken and RefreshToken only.")

// resolve answers a field.
func (f federation) resolve(ctx context.Context, fc *graphql.FieldContext, next graphql.Resolver) (any, error) {
	if fc.Object != "Query" {
		return next(ctx)
	}
	name := fc.Field.Name
	if !f.enabled && (name == "_service" || name == "_entities") {
		return nil, apierror.New(apierror.FederationDisabled, "Federation is turned off here.")
	}
	switch name {
	case "_service":
		return fedruntime.Service{SDL: f.sdl}, nil
	case "_entities":
		representations, _ := fc.Args["representations"].([]map[string]any)
		return f.entities(ctx, representations)
	case "__schema", "__type":
		if graphql.GetOperationContext(ctx).DisableIntrospection {
			return nil, apierror.New(apierror.IntrospectionDisabled, "Introspection is turned off here.")
		}
	}
	return next(ctx)
}

// entities resolves each representation on its own, keeping the order. One that fails is null and
// has an error with its index in the path, which is how a gateway knows which it was.
func (f federation) entities(ctx context.Context, representations []map[string]any) ([]fedruntime.Entity, error) {
	if len(representations) > f.representations {
		return nil, apierror.Over("MAX_REPRESENTATIONS", f.representations, "representations holds more entities")
	}
	list := make([]fedruntime.Entity, len(representations))
	path := graphql.GetPath(ctx)
	var group sync.WaitGroup
	slots := make(chan struct{}, entitiesAtOnce)
	req := FromContext(ctx)
	for i, representation := range representations {
		if req.cut.Load() != int32(whole) {
			break
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			entity, err := f.entity(ctx, representation)
			if err != nil {
				if !f.budget.spend(ctx, req, errorBytes) {
					return
				}
				at := append(append(ast.Path{}, path...), ast.PathIndex(i))
				graphql.AddError(ctx, &gqlerror.Error{Err: err, Path: at, Message: err.Error()})
				return
			}
			list[i] = entity
		})
	}
	group.Wait()
	return list, nil
}

func (f federation) entity(ctx context.Context, representation map[string]any) (entity fedruntime.Entity, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = graphql.GetOperationContext(ctx).Recover(ctx, p)
		}
	}()
	name, _ := representation["__typename"].(string)
	resolve := resolvable[name]
	if resolve == nil {
		return nil, errNotResolved
	}
	id, err := representationID(representation["id"])
	if err != nil {
		return nil, err
	}
	return resolve(ctx, f.resolver, id)
}

// resolvable are the types whose entities are resolved here.
var resolvable = map[string]func(ctx context.Context, r *Resolver, id string) (fedruntime.Entity, error){
	"AuthorizationCode": entityOf(codes),
	"AccessToken":       entityOf(accessTokens),
	"RefreshToken":      entityOf(refreshTokens),
}

// entityOf resolves an entity. A pointer to nothing would be no nil entity.
func entityOf[T any](k kind[T]) func(ctx context.Context, r *Resolver, id string) (fedruntime.Entity, error) {
	return func(ctx context.Context, r *Resolver, id string) (fedruntime.Entity, error) {
		grant, err := one(ctx, r, k, id)
		if err != nil {
			return nil, err
		}
		return any(grant).(fedruntime.Entity), nil
	}
}

// representationID reads an id as GraphQL's ID is read: a string or an integer.
func representationID(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case int64:
		return graphql.UnmarshalID(v)
	}
	return "", &apierror.Error{Code: apierror.BadUserInput, Message: "An entity is identified by its id, a string or an integer.", Err: errors.New("representation without an id")}
}

package graph

import (
	"context"
	"reflect"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// roots makes gqlgen, which writes a root field as soon as it is resolved, wait until all root fields of a query are:
// only then are the missing providers known. Root fields of a mutation are executed one after the other, and none
// waits.
type roots struct {
	planner
	ctx       context.Context //nolint:containedctx // of the operation, whose errors have no field
	of        *ast.Definition // the type of the operation
	variables map[string]any

	mu      sync.Mutex
	pending map[string]int // the root fields that are not resolved yet, by response key: their place in all
	all     []root         // in the order of the response
	done    chan struct{}  // closed when the providers are read
}

// newRoots expects the root fields of an operation.
func newRoots(ctx context.Context, p planner, op *graphql.OperationContext) *roots {
	of := p.schema.Query
	if op.Operation.Operation == ast.Mutation {
		of = p.schema.Mutation
	}
	r := &roots{planner: p, ctx: ctx, of: of, variables: op.Variables, pending: map[string]int{}, done: make(chan struct{})}
	for _, field := range graphql.CollectFields(op, op.Operation.SelectionSet, []string{of.Name}) {
		if strings.HasPrefix(field.Name, "__") { // of introspection, which gqlgen resolves before all others
			continue
		}
		r.pending[field.Alias] = len(r.all)
		r.all = append(r.all, root{selected: selected{field.Field, []ast.SelectionSet{field.Selections}}})
	}
	return r
}

// middleware resolves a root field. A field that got no value, such as one with a wrong argument, is not waited for.
func (r *roots) middleware(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if field := graphql.GetRootFieldContext(ctx); field != nil {
		defer r.arrive(ctx, field.Field.Alias, nil)
	}
	return next(ctx)
}

// completed returns the value of a root field with its providers, once all root fields are resolved.
func (r *roots) completed(ctx context.Context, field *graphql.FieldContext, value any) any {
	if field.Object != r.of.Name || strings.HasPrefix(field.Field.Name, "__") {
		return value
	}
	r.arrive(ctx, field.Field.Alias, value)
	if r.of == r.schema.Query {
		select {
		case <-r.done:
		case <-ctx.Done():
			FromContext(ctx).stop(tooLate)
			return nil
		}
	}
	return withoutUnread(value)
}

// arrive records that a root field is resolved. The last one reads the providers.
func (r *roots) arrive(ctx context.Context, key string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.pending[key]
	if !ok { // it was recorded with its value
		return
	}
	delete(r.pending, key)
	r.all[i].value = reflect.ValueOf(value)
	all := r.all
	switch {
	case r.of == r.schema.Mutation:
		all = r.all[i : i+1]
	case len(r.pending) > 0:
		return
	default:
		defer close(r.done)
	}
	defer func() {
		if p := recover(); p != nil { // gqlgen does not recover around root fields
			graphql.AddError(r.ctx, recovered(ctx, p))
		}
	}()
	for _, err := range r.complete(ctx, r.variables, r.of, all) {
		graphql.AddError(r.ctx, err)
	}
}

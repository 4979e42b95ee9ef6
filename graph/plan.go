package graph

import (
	"context"
	"reflect"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/graph/document"
	"authentik-graphql/graph/model"
)

// plan executes an operation in place of gqlgen's code, which makes an object, a closure and a
// context for each field of each response. It says what to resolve and how to write it. A plan is for
// one set of values of the variables in @skip and @include, so that nothing is decided while a response
// is written. It is shared and does not change.
type plan []rootField

// rootField is a field at the top of an operation.
type rootField struct {
	step
	selected
	resolver resolver // none for __typename
}

// plan returns the plan of an operation, nil if gqlgen must execute it.
func (p planner) plan(doc *document.Document, op *ast.OperationDefinition, variables map[string]any) plan {
	if !p.query.IsValid() || op.Operation != ast.Query {
		return nil
	}
	made, _ := doc.Operations[op].Plan(variables, func() any { return p.compile(op, variables) }).(plan)
	return made
}

// execute executes an operation. It returns nil, and has done nothing, if gqlgen must execute it.
func (p planner) execute(ctx context.Context, doc *document.Document, opCtx *graphql.OperationContext) *graphql.Response {
	plan := p.plan(doc, opCtx.Operation, opCtx.Variables)
	if plan == nil {
		return nil
	}
	calls := plan.calls(opCtx.Variables)
	if calls == nil {
		return nil
	}
	e := &execution{ctx: ctx, req: FromContext(ctx), budget: p.resolver.budget}
	resp := &graphql.Response{}
	if !e.inTime() {
		return resp
	}
	var others sync.WaitGroup // each may wait for authentik
	for i := 1; i < len(calls); i++ {
		others.Go(func() { calls[i].resolve(e) })
	}
	calls[0].resolve(e)
	others.Wait()
	missing := p.completeCalls(ctx, opCtx.Variables, calls)
	resp.Data = e.write(calls)
	for _, c := range calls {
		resp.Errors = append(resp.Errors, c.errs...)
	}
	for _, err := range missing {
		resp.Errors = append(resp.Errors, present(ctx, err))
	}
	return resp
}

// completeCalls completes the providers in the results of the calls, and returns the errors of those that are
// missing.
func (p planner) completeCalls(ctx context.Context, variables map[string]any, calls []call) []*gqlerror.Error {
	all := make([]root, len(calls))
	for i, c := range calls {
		all[i] = root{c.selected, c.value}
	}
	errs := p.complete(ctx, variables, p.schema.Query, all)
	for i, c := range calls {
		if c.in != nil && c.resolver.goType == reflect.TypeFor[*model.OAuth2Provider]() {
			calls[i].value = reflect.ValueOf(withoutUnread(c.value.Interface()))
		}
	}
	return errs
}

// call is one call of a resolver, and its result.
type call struct {
	*rootField
	in    []reflect.Value // nil for __typename
	value reflect.Value
	errs  gqlerror.List
}

// calls reads the arguments of the root fields. It returns nil if one cannot be read, so that gqlgen
// reports it.
func (p plan) calls(variables map[string]any) []call {
	calls := make([]call, len(p))
	for i := range calls {
		c := &calls[i]
		c.rootField = &p[i]
		if c.resolver.goType == nil {
			continue
		}
		if c.in = c.resolver.arguments(c.ArgumentMap(variables)); c.in == nil {
			return nil
		}
	}
	return calls
}

// resolve makes the call. gqlgen's own functions make its error, so that it is the same; like gqlgen, it
// gives no location for a panic.
func (c *call) resolve(e *execution) {
	if c.in == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.fail(e, recovered(e.ctx, p), graphql.ErrorOnPath)
		}
	}()
	c.in[0] = reflect.ValueOf(e.ctx)
	out := c.resolver.fn.Call(c.in)
	c.value = out[0]
	if err, failed := out[1].Interface().(error); failed {
		c.fail(e, err, graphql.AddFieldLocationToError)
	}
}

func (c *call) fail(e *execution, err error, at func(context.Context, error) error) {
	c.value = reflect.Zero(c.resolver.goType)
	if e.budget.spend(e.ctx, e.req, errorBytes) {
		ctx := graphql.WithResponseContext(e.ctx, present, recovered)
		ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Object: "Query", Field: graphql.CollectedField{Field: c.Field}})
		graphql.AddError(ctx, at(ctx, err))
		c.errs = graphql.GetErrors(ctx)
	}
}

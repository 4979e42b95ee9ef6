package graph

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/graph/document"
)

// plan answers an operation in place of gqlgen's executor, which makes an object, a closure and a
// context for each field of each answer: what is to be resolved, and what of it is to be written. It
// holds for one set of values of the variables in @skip and @include, so that nothing is decided
// while an answer is written. Nobody changes it.
type plan struct {
	roots []rootField
	// size is how many bytes the last answer had.
	size atomic.Int64
}

// rootField is a field at the top of an operation.
type rootField struct {
	step
	field    *ast.Field // the first of those with its name; it has the arguments
	resolver resolver   // none for __typename
}

// plan returns the plan of an operation, nil if gqlgen must run it.
func (p planner) plan(doc *document.Document, op *ast.OperationDefinition, variables map[string]any) *plan {
	if p.schema == nil || op.Operation != ast.Query {
		return nil
	}
	made, _ := doc.Operations[op].Plan(variables, func() any { return p.compile(op, variables) }).(*plan)
	return made
}

// run answers an operation. It returns nil, and has done nothing, if gqlgen must run it. whole is the
// answer as it is to be written if nothing but the data is in it; it lacks its end. Whoever has written
// it gives it to reuse.
func (p planner) run(ctx context.Context, doc *document.Document, opCtx *graphql.OperationContext) (resp *graphql.Response, whole []byte) {
	plan := p.plan(doc, opCtx.Operation, opCtx.Variables)
	if plan == nil {
		return nil, nil
	}
	calls := plan.calls(opCtx.Variables)
	if calls == nil {
		return nil, nil
	}
	a := &answer{ctx: ctx, req: FromContext(ctx), budget: p.budget, size: plan.size.Load(), buffer: p.buffer()}
	resp = &graphql.Response{}
	if !a.inTime() {
		return resp, nil
	}
	var others sync.WaitGroup // each may wait for authentik
	for i := 1; i < len(calls); i++ {
		others.Go(func() { calls[i].do(a) })
	}
	calls[0].do(a)
	others.Wait()
	if whole = a.root(calls); whole != nil {
		resp.Data = whole[len(dataPrefix):]
	}
	for _, c := range calls {
		resp.Errors = append(resp.Errors, c.errs...)
	}
	plan.size.Store(int64(len(whole)) * 9 / 8) // the next one may be a little larger
	return resp, whole
}

// buffer is an empty one to write an answer in.
func (p planner) buffer() []byte { return (*p.buffers.Get().(*[]byte))[:0] }

// reuse lets others write in what run returned. Nobody may read it any more: net/http has written it by
// the end of Write, in HTTP/1, and what compresses an answer keeps a copy.
func (p planner) reuse(whole []byte) {
	if 0 < cap(whole) && cap(whole) <= freeBytes {
		p.buffers.Put(&whole)
	}
}

// call is one call of a resolver, and what came of it.
type call struct {
	*rootField
	in    []reflect.Value // nil for __typename
	value reflect.Value
	errs  gqlerror.List
}

// calls reads the arguments of a plan's root fields. It returns nil if gqlgen must say what is wrong
// with one.
func (p *plan) calls(variables map[string]any) []call {
	calls := make([]call, len(p.roots))
	for i := range calls {
		c := &calls[i]
		c.rootField = &p.roots[i]
		if c.resolver.goType == nil {
			continue
		}
		if c.in = c.resolver.arguments(c.field.ArgumentMap(variables)); c.in == nil {
			return nil
		}
	}
	return calls
}

// do makes the call. Its error is made by gqlgen's own functions, so that it is the same; gqlgen
// tells no place in the document for a panic.
func (c *call) do(a *answer) {
	if c.in == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.fail(a, recovered(a.ctx, p), graphql.ErrorOnPath)
		}
	}()
	c.in[0] = reflect.ValueOf(a.ctx)
	out := c.resolver.fn.Call(c.in)
	c.value = out[0]
	if err, failed := out[1].Interface().(error); failed {
		c.fail(a, err, graphql.AddFieldLocationToError)
	}
}

func (c *call) fail(a *answer, err error, at func(context.Context, error) error) {
	c.value = reflect.Zero(c.resolver.goType)
	if a.budget.spend(a.ctx, a.req, errorBytes) {
		ctx := graphql.WithResponseContext(a.ctx, present, recovered)
		ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Object: "Query", Field: graphql.CollectedField{Field: c.field}})
		graphql.AddError(ctx, at(ctx, err))
		c.errs = graphql.GetErrors(ctx)
	}
}

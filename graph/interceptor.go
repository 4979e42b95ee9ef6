package graph

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
)

// interceptor stands before every field: it answers what belongs to federation, and keeps an answer
// from being made that is too large, too late, or for which there is no room. gqlgen makes an answer
// whole before it can be looked at, and does not look at the context meanwhile.
type interceptor struct {
	federation federation
	budget     budget
}

var _ interface {
	graphql.HandlerExtension
	graphql.FieldInterceptor
} = interceptor{}

// ExtensionName implements [graphql.HandlerExtension].
func (interceptor) ExtensionName() string { return "Interceptor" }

// Validate implements [graphql.HandlerExtension].
func (interceptor) Validate(graphql.ExecutableSchema) error { return nil }

// cut is why the rest of an answer is not made. The transport answers an error instead.
type cut int32

const (
	whole cut = iota
	tooLarge
	tooLate
	withoutRoom
)

// InterceptField implements [graphql.FieldInterceptor]. Once an answer is cut its fields are null, at
// once and without an error: there may be millions of them.
func (i interceptor) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	req := FromContext(ctx)
	if req.cut.Load() != int32(whole) {
		return nil, nil
	}
	if ctx.Err() != nil {
		req.cut.CompareAndSwap(int32(whole), int32(tooLate))
		return nil, nil
	}
	field := graphql.GetFieldContext(ctx)
	value, err := i.federation.resolve(ctx, field, next)
	n := sizeOf(field.Field.Alias, value)
	if err != nil {
		n += errorBytes
	}
	if !i.budget.spend(ctx, req, n) {
		return nil, nil
	}
	return value, err
}

// budget is what one answer, and what all of them together, may take.
type budget struct {
	answers *room
	// answerBytes is Limits.Answer.
	answerBytes int64
}

// spend counts a part of a request's answer. It returns false if the answer is cut.
func (b budget) spend(ctx context.Context, req *Request, n int64) bool {
	switch total := req.answerBytes.Add(n); {
	case total > b.answerBytes:
		req.cut.CompareAndSwap(int32(whole), int32(tooLarge))
	case !req.answer.reach(ctx, b.answers, total):
		req.cut.CompareAndSwap(int32(whole), int32(withoutRoom))
	}
	return req.cut.Load() == int32(whole)
}

// errorBytes is about what an error takes until it is written, with what led to it.
const errorBytes = 4 << 10

// sizeOf is about what a field takes in the answer, with its name. What is in objects and lists of
// objects is counted with their own fields.
func sizeOf(alias string, value any) int64 {
	const quotes = 4 // with colon and comma
	n := len(alias) + quotes
	switch v := value.(type) {
	case *string:
		if v != nil {
			n += len(*v)
		}
	case string:
		n += len(v)
	case json.RawMessage:
		n += len(v)
	case []string:
		for _, s := range v {
			n += len(s) + quotes
		}
	default:
		n += quotes
	}
	return int64(n)
}

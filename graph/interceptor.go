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
	answers    *room
	// answerBytes is Limits.Answer.
	answerBytes int64
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
	if err != nil {
		return nil, err
	}
	switch total := req.answerBytes.Add(sizeOf(field.Field.Alias, value)); {
	case total > i.answerBytes:
		req.cut.CompareAndSwap(int32(whole), int32(tooLarge))
		return nil, nil
	case !req.answer.reach(ctx, i.answers, total):
		req.cut.CompareAndSwap(int32(whole), int32(withoutRoom))
		return nil, nil
	}
	return value, nil
}

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

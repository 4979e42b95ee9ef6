package graph

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"

	"authentik-graphql/internal/apierror"
)

// interceptor stands before every field: it refuses fields that the settings turn off, and stops the
// making of a response that is too large, too late, or has no memory left. gqlgen makes a response
// whole before it can be looked at, and does not check the context meanwhile.
type interceptor struct {
	federation         bool
	maxRepresentations int
	budget             budget
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
	var value any
	err := i.refuse(ctx, field)
	if err == nil {
		value, err = next(ctx)
	}
	n := sizeOf(field.Field.Alias, value)
	if err != nil {
		n += errorBytes
	}
	if !i.budget.spend(ctx, req, n) {
		return nil, nil
	}
	return value, err
}

// refuse returns an error for a field of Query that is turned off or asks for too much.
func (i interceptor) refuse(ctx context.Context, field *graphql.FieldContext) error {
	if field.Object != "Query" {
		return nil
	}
	switch name := field.Field.Name; name {
	case "_service", "_entities":
		if !i.federation {
			return apierror.New(apierror.FederationDisabled, "Federation is turned off here.")
		}
		if list, _ := field.Args["representations"].([]map[string]any); len(list) > i.maxRepresentations {
			return apierror.Over("MAX_REPRESENTATIONS", i.maxRepresentations, "representations holds more entities")
		}
	case "__schema", "__type":
		if graphql.GetOperationContext(ctx).DisableIntrospection {
			return apierror.New(apierror.IntrospectionDisabled, "Introspection is turned off here.")
		}
	}
	return nil
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

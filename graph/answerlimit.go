package graph

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
)

// answerLimit keeps an answer from being written that is too large to be sent. Texts and JSON are
// counted as they are resolved, when they are still shared with the cache; those over the limit are
// dropped, and the transport answers an error instead of the rest.
type answerLimit struct{ bytes int64 }

var _ interface {
	graphql.HandlerExtension
	graphql.FieldInterceptor
} = answerLimit{}

// ExtensionName implements [graphql.HandlerExtension].
func (answerLimit) ExtensionName() string { return "AnswerLimit" }

// Validate implements [graphql.HandlerExtension].
func (answerLimit) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptField implements [graphql.FieldInterceptor].
func (a answerLimit) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	value, err := next(ctx)
	switch v := value.(type) {
	case *string:
		if v != nil && FromContext(ctx).answer.Add(int64(len(*v))) > a.bytes {
			return (*string)(nil), err
		}
	case json.RawMessage:
		if FromContext(ctx).answer.Add(int64(len(v))) > a.bytes {
			return json.RawMessage(nil), err
		}
	}
	return value, err
}

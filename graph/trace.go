package graph

import (
	"net/http"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"authentik-graphql/internal/telemetry/spans"
)

// begin begins the span of an operation, and returns the request with it. An operation's name is the
// client's own text, unless its document is trusted.
func (t transport) begin(r *http.Request, p *params, f found) (*http.Request, spans.Span) {
	ctx, span := t.spans.Start(r.Context(), "GraphQL operation")
	if !span.IsRecording() {
		return r, span
	}
	if op := f.operation(p.OperationName); op != nil {
		kind := string(op.Operation)
		span.Rename(kind)
		span.Set(semconv.GraphQLOperationTypeKey, kind)
		if f.trusted && op.Name != "" {
			span.Set(semconv.GraphQLOperationNameKey, op.Name)
		}
	}
	return r.WithContext(ctx), span
}

// end ends the span of the request's operation. An error that is the client's, or about what it asked
// for, is no failure.
func (r *Request) end(span spans.Span) {
	if !span.IsRecording() {
		return
	}
	defer span.End()
	codes := r.Facts().ErrorCodes
	switch {
	case len(codes) == 0:
	case worthLogging(codes[0]):
		span.Fail(codes[0])
	default:
		span.Set(semconv.ErrorTypeKey, codes[0])
	}
}

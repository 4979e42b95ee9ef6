package spans

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// The attributes of the cache level that answered a read, and of its result. Their values are those of the
// labels of authentik_graphql_cache_reads_total, and a few more.
const (
	CacheLevel  = attribute.Key("cache.level")
	CacheResult = attribute.Key("cache.result")
)

// Tracer starts spans. Nil starts none. Names and attributes must never hold a client's own words, an id or
// a secret.
type Tracer struct{ tracer trace.Tracer }

// NewTracer wraps a tracer of OpenTelemetry.
func NewTracer(t trace.Tracer) *Tracer { return &Tracer{t} }

var none trace.Span = noop.Span{}

// Start starts a span below that of ctx, and returns a context that holds it. Unless the span of ctx is
// recorded, it returns ctx and a span that does nothing.
func (t *Tracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, none
	}
	return t.tracer.Start(ctx, name, o...)
}

// Inject adds the trace context to the headers of a call, even if the request is not recorded.
func (t *Tracer) Inject(ctx context.Context, h http.Header) {
	if t != nil {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	}
}

// Fail marks a span as failed, with the kind of failure.
func Fail(span trace.Span, kind string) {
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, "")
}

package spans

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The attributes of the cache level that answered a read, and of its result. Their values are those of the
// labels of authentik_graphql_cache_reads_total, and a few more.
const (
	CacheLevel  = attribute.Key("cache.level")
	CacheResult = attribute.Key("cache.result")
)

// Tracer starts spans. Nil starts none.
type Tracer struct{ tracer trace.Tracer }

// NewTracer wraps a tracer of OpenTelemetry.
func NewTracer(t trace.Tracer) *Tracer { return &Tracer{t} }

// Start starts a span below that of ctx, and returns a context that holds it. Unless the span of ctx is
// recorded, it returns ctx and the zero Span.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name)
}

// StartLinked is Start, for waiting for the work of another span.
func (t *Tracer) StartLinked(ctx context.Context, name string, to Span) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if to.span == nil {
		return t.start(ctx, name)
	}
	return t.start(ctx, name, trace.WithLinks(trace.Link{SpanContext: to.span.SpanContext()}))
}

// StartClient is Start, for a call to another service.
func (t *Tracer) StartClient(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
}

func (t *Tracer) start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, o...)
	return ctx, Span{span}
}

// Inject adds the trace context to the headers of a call, even if the request is not recorded.
func (t *Tracer) Inject(ctx context.Context, h http.Header) {
	if t != nil {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	}
}

// Span is a span. The methods of the zero Span do nothing. Names and attributes must never hold a client's
// own words, an id or a secret.
type Span struct{ span trace.Span }

// IsRecording reports whether s is not the zero Span.
func (s Span) IsRecording() bool { return s.span != nil }

// Rename changes the span's name.
func (s Span) Rename(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Set sets a text attribute.
func (s Span) Set(key attribute.Key, value string) {
	if s.span != nil {
		s.span.SetAttributes(key.String(value))
	}
}

// SetInt sets a numeric attribute.
func (s Span) SetInt(key attribute.Key, value int) {
	if s.span != nil {
		s.span.SetAttributes(key.Int(value))
	}
}

// Fail marks the span as failed, with the kind of failure.
func (s Span) Fail(kind string) {
	if s.span != nil {
		s.span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		s.span.SetStatus(codes.Error, "")
	}
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

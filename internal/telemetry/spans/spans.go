// Package spans makes the spans of what happens within a request. It is OpenTelemetry's API, but for two
// things: a Tracer that is nil makes no spans and costs nothing, and only a request that is recorded has
// spans below it.
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

// The attributes that say which level of the cache answered a read, and with what. Their values are
// those of the labels of authentik_graphql_cache_reads_total and a few more.
const (
	CacheLevel  = attribute.Key("cache.level")
	CacheResult = attribute.Key("cache.result")
)

// Tracer begins spans. Nil begins none.
type Tracer struct{ tracer trace.Tracer }

// NewTracer makes a Tracer of OpenTelemetry's.
func NewTracer(t trace.Tracer) *Tracer { return &Tracer{t} }

// Start begins a span below that of ctx, and returns a context that has it. If ctx has none that is
// recorded there is none.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name)
}

// StartLinked is Start for a wait for what another span tells of.
func (t *Tracer) StartLinked(ctx context.Context, name string, to Span) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if to.span == nil {
		return t.start(ctx, name)
	}
	return t.start(ctx, name, trace.WithLinks(trace.Link{SpanContext: to.span.SpanContext()}))
}

// StartClient is Start for a call of another service.
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

// Inject passes the trace context on in the headers of a call, also that of a request which is not
// recorded.
func (t *Tracer) Inject(ctx context.Context, h http.Header) {
	if t != nil {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	}
}

// Span is a span, or none if it is the zero Span, of which every method does nothing. What it is told
// must never be a client's own words, an id or a secret.
type Span struct{ span trace.Span }

// IsRecording tells whether there is a span.
func (s Span) IsRecording() bool { return s.span != nil }

// Rename gives the span another name.
func (s Span) Rename(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Set sets an attribute to a text.
func (s Span) Set(key attribute.Key, value string) {
	if s.span != nil {
		s.span.SetAttributes(key.String(value))
	}
}

// SetInt sets an attribute to a number.
func (s Span) SetInt(key attribute.Key, value int) {
	if s.span != nil {
		s.span.SetAttributes(key.Int(value))
	}
}

// Fail says that it failed, and the kind of failure.
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

package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"authentik-graphql/internal/telemetry/otlp"
	"authentik-graphql/internal/telemetry/spans"
)

const (
	// traceFlush bounds the time to send the last spans at the end.
	traceFlush = 2 * time.Second
	// lossInterval is the least time between two warnings that spans are lost.
	lossInterval = time.Minute
)

// Tracing makes the spans of requests and sends them to a collector in the background. Spans that cannot be
// sent, or that are too many, are dropped. Nil makes none.
type Tracing struct {
	provider *sdk.TracerProvider
	exporter *exporter
	tracer   trace.Tracer
}

// NewTracing begins to send spans, or returns nil if the client is not enabled. OpenTelemetry itself
// reads the variables for sampling, batches and the resource from the process's environment.
func NewTracing(client *otlp.Client, version string, log *slog.Logger) *Tracing {
	if !client.Enabled() {
		return nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { // or it prints to stderr what it cannot use
		log.Warn("OpenTelemetry ignores a variable", "error", err)
	}))
	about, err := resource.New(context.Background(),
		resource.WithAttributes(semconv.ServiceName("authentik-graphql"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv()) // last, to take precedence
	if err != nil {
		log.Warn("OTEL_RESOURCE_ATTRIBUTES has an entry that is not name=value; the others are used")
	}
	exporting, _ := otlptrace.New(context.Background(), client) // Start of the client does not fail
	t := &Tracing{exporter: &exporter{
		SpanExporter: exporting,
		log:          log, sometimes: rate.Sometimes{Interval: lossInterval},
	}}
	t.provider = sdk.NewTracerProvider(sdk.WithBatcher(t.exporter), sdk.WithResource(about),
		sdk.WithoutPanicRecording()) // its text may hold anything
	t.tracer = t.provider.Tracer("authentik-graphql", trace.WithInstrumentationVersion(version))
	log.Info("traces are sent")
	return t
}

// exporter logs that spans are lost, and reports no failure: OpenTelemetry would print each one to stderr.
type exporter struct {
	sdk.SpanExporter
	log       *slog.Logger
	sometimes rate.Sometimes
}

// ExportSpans implements [sdk.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.logLoss(err)
	}
	return nil
}

func (e *exporter) logLoss(err error) {
	e.sometimes.Do(func() { e.log.Warn("traces are lost: the collector does not accept them", "error", err) })
}

// Close sends what is left, as far as time allows.
func (t *Tracing) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceFlush)
	defer cancel()
	if t.provider.Shutdown(ctx) != nil {
		t.exporter.logLoss(otlp.ErrTimeout)
		_ = t.exporter.Shutdown(ctx) // ends an upload that is still running
	}
}

// Tracer makes the spans below those of requests.
func (t *Tracing) Tracer() *spans.Tracer {
	if t == nil {
		return nil
	}
	return spans.NewTracer(t.tracer)
}

// Handler makes the span of each request to path, in the trace that the request brings.
func (t *Tracing) Handler(path string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	common := trace.WithAttributes(semconv.HTTPRoute(path), semconv.URLPath(path), semconv.URLScheme("http"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			next.ServeHTTP(w, r)
			return
		}
		method := CleanMethod(r.Method)
		name := method
		if method == "other" {
			method, name = "_OTHER", "HTTP" // as OpenTelemetry's conventions say
		}
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, name+" "+path,
			trace.WithSpanKind(trace.SpanKindServer), common, trace.WithAttributes(semconv.HTTPRequestMethodKey.String(method)))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// RequestEnded describes a request on its span, if ctx has one.
func (t *Tracing) RequestEnded(ctx context.Context, r Request) {
	span := trace.SpanFromContext(ctx)
	if t == nil || !span.IsRecording() {
		return
	}
	if r.OperationType != "" {
		span.SetAttributes(semconv.GraphQLOperationTypeKey.String(r.OperationType))
	}
	if r.Status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(r.Status))
	}
	if r.Replayed {
		span.SetAttributes(spans.CacheLevel.String("response"), spans.CacheResult.String("hit"))
	}
	if len(r.ErrorCodes) > 0 {
		span.SetAttributes(semconv.ErrorTypeKey.String(r.ErrorCodes[0]))
	}
	if r.outcome(ctx) == failed {
		span.SetStatus(codes.Error, "")
	}
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"authentik-graphql/internal/buildinfo"
	"authentik-graphql/internal/telemetry"
	"authentik-graphql/internal/telemetry/spans"
)

const (
	// traceFlush is how long the last spans may take to be sent at the end.
	traceFlush = 2 * time.Second
	// traceTold is how often it is told at most that spans cannot be sent.
	traceTold = time.Minute
)

// tracing makes the spans of requests and sends them to a collector, in the background: spans that
// cannot be sent or are too many are dropped, and no request waits for them. Nil makes none.
type tracing struct {
	provider *sdk.TracerProvider
	exporter *toldExporter
	tracer   trace.Tracer
}

// newTracing begins what the OTEL_* variables ask for, and returns nil if they ask for nothing.
// OpenTelemetry reads them itself from the process's environment.
func newTracing(protocol otlpProtocol, log *slog.Logger) (*tracing, error) {
	if protocol == "" {
		return nil, nil
	}
	ctx := context.Background()
	exporter, err := newExporter(ctx, protocol)
	if err != nil {
		return nil, usagef("the OTEL_EXPORTER_OTLP_ variables cannot be used together: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("authentik-graphql"), semconv.ServiceVersion(buildinfo.Version())),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv()) // last: it goes before
	if err != nil {
		return nil, usagef("OTEL_RESOURCE_ATTRIBUTES cannot be used: %w", err)
	}
	t := &tracing{exporter: &toldExporter{SpanExporter: exporter, log: log, often: rate.Sometimes{Interval: traceTold}}}
	t.provider = sdk.NewTracerProvider(sdk.WithBatcher(t.exporter), sdk.WithResource(about),
		sdk.WithoutPanicRecording()) // which may say anything
	t.tracer = t.provider.Tracer("authentik-graphql", trace.WithInstrumentationVersion(buildinfo.Version()))
	log.Info("traces are sent", "protocol", string(protocol))
	return t, nil
}

func newExporter(ctx context.Context, p otlpProtocol) (sdk.SpanExporter, error) {
	if p == otlpGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// toldExporter tells of spans that could not be sent, once in a while. OpenTelemetry would print each
// failure whole, through a variable of the process.
type toldExporter struct {
	sdk.SpanExporter
	log   *slog.Logger
	often rate.Sometimes
}

// ExportSpans implements [sdk.SpanExporter]. It reports no failure.
func (e *toldExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.tell(err)
	}
	return nil
}

func (e *toldExporter) tell(err error) {
	e.often.Do(func() {
		e.log.Warn("traces are lost: the collector does not take them", "reason", exportFailure(err))
	})
}

// refusal is the status in what OpenTelemetry says of an answer.
var refusal = regexp.MustCompile(`: ([345]\d\d) `)

// exportFailure says why spans were not sent, without the collector's words and URL: who put it into
// operation may have put a key there.
func exportFailure(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err.Error()
	}
	if code := status.Code(err); code != grpccodes.Unknown {
		return "gRPC status " + code.String()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if found := refusal.FindStringSubmatch(err.Error()); found != nil {
		return "HTTP status " + found[1]
	}
	return "refused, in whole or in part"
}

// close sends what is left, as far as that can be done in time.
func (t *tracing) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceFlush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.exporter.tell(err)
		_ = t.exporter.Shutdown(ctx) // ends the sending that goes on
	}
}

// spans makes the spans below those of requests.
func (t *tracing) spans() *spans.Tracer {
	if t == nil {
		return nil
	}
	return spans.NewTracer(t.tracer)
}

// begun are the attributes with which the span of a request begins.
var begun = trace.WithAttributes(semconv.HTTPRoute(graphqlPath), semconv.URLPath(graphqlPath), semconv.URLScheme("http"))

// server makes the span of each request to the GraphQL endpoint, in the trace that the request brings.
func (t *tracing) server(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != graphqlPath {
			next.ServeHTTP(w, r)
			return
		}
		method := telemetry.CleanMethod(r.Method)
		if method == "other" {
			method = "_OTHER"
		}
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, strings.Replace(method, "_OTHER", "HTTP", 1)+" "+graphqlPath,
			trace.WithSpanKind(trace.SpanKindServer), begun, trace.WithAttributes(semconv.HTTPRequestMethodKey.String(method)))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// answered says on a request's span what became of it. ctx is the connection's, with the span.
func (t *tracing) answered(ctx context.Context, r telemetry.Request) {
	if t == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
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
	if r.Failed(ctx) {
		span.SetStatus(codes.Error, "")
	}
}

package spans_test

import (
	"context"
	"net/http"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"authentik-graphql/internal/telemetry/spans"
)

// TestOnlyRecordedRequestsHaveSpans: work outside of a request, or in one that is not recorded, has no spans.
// The trace context of a request that is not recorded is passed on nevertheless.
func TestOnlyRecordedRequestsHaveSpans(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sampler sdk.Sampler
		request bool
		spans   int
		passes  bool
	}{
		{"recorded", sdk.AlwaysSample(), true, 4, true},
		{"not recorded", sdk.NeverSample(), true, 0, true},
		{"no request", sdk.AlwaysSample(), false, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := tracetest.NewSpanRecorder()
			otel := sdk.NewTracerProvider(sdk.WithSampler(tt.sampler), sdk.WithSpanProcessor(seen)).Tracer("")
			tracer := spans.NewTracer(otel)
			ctx, request := context.Background(), trace.SpanFromContext(context.Background())
			if tt.request {
				ctx, request = otel.Start(ctx, "request")
			}
			ctx, first := tracer.Start(ctx, "first")
			_, linked := tracer.Start(ctx, "linked", trace.WithLinks(trace.Link{SpanContext: first.SpanContext()}))
			ctx, call := tracer.Start(ctx, "call")
			header := http.Header{}
			tracer.Inject(ctx, header)
			for _, span := range []trace.Span{call, linked, first} {
				if span.IsRecording() != (tt.spans > 0) {
					t.Errorf("recorded: %t", span.IsRecording())
				}
				span.End()
			}
			request.End()
			if got := len(seen.Ended()); got != tt.spans {
				t.Errorf("%d spans, want %d", got, tt.spans)
			}
			if (header.Get("Traceparent") != "") != tt.passes {
				t.Errorf("passed on: %v", header)
			}
		})
	}
}

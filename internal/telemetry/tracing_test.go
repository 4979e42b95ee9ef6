package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"authentik-graphql/internal/telemetry/otlp"
)

// TestNoTracing: without traces there is no handler and no tracer, and nothing allocates.
func TestNoTracing(t *testing.T) {
	client, err := otlp.FromEnvironment(nil)
	if err != nil {
		t.Fatal(err)
	}
	tracing := NewTracing(client, "test", slog.New(slog.DiscardHandler))
	defer tracing.Close()
	if tracing != nil || tracing.Tracer() != nil {
		t.Error("there are traces")
	}
	next := http.NewServeMux()
	if tracing.Handler("/graphql", next) != http.Handler(next) {
		t.Error("there is a handler")
	}
	ctx, tracer := context.Background(), tracing.Tracer()
	if n := testing.AllocsPerRun(100, func() {
		inner, span := tracer.Start(ctx, "name")
		inner, call := tracer.Start(inner, "name")
		tracer.Inject(inner, nil)
		call.End()
		span.End()
		tracing.RequestEnded(ctx, Request{})
	}); n != 0 {
		t.Errorf("it takes %v allocations", n)
	}
}

// TestCloseEndsUploads checks that no upload outlives Close, to a collector that does not answer.
func TestCloseEndsUploads(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
		began <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	defer collector.Close()
	// Only Close may end the upload within this test.
	client, err := otlp.FromEnvironment([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_EXPORTER_OTLP_TIMEOUT=600000"})
	if err != nil {
		t.Fatal(err)
	}
	tracing := NewTracing(client, "test", slog.New(slog.DiscardHandler))
	_, span := tracing.tracer.Start(t.Context(), "name")
	span.End()
	<-began
	tracing.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the upload goes on after Close")
		collector.CloseClientConnections()
	}
}

package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

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

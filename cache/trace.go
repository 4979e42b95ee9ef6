package cache

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"authentik-graphql/internal/telemetry/spans"
)

// The spans of a read. The span of a fetch is a child of the read that started it, which may have ended: a
// revalidation outlives the stale result.
const (
	readSpan  = "cache read"
	fetchSpan = "cache fetch"
	joinSpan  = "cache join"
	leaseSpan = "cache lease wait"
)

var levels = map[Source]string{FromOrigin: "upstream", FromMemory: "memory", FromRedis: "redis"}

// endSpan ends the span of a read or a fetch with its result.
func endSpan[V any](span trace.Span, r Result[V], err error) {
	if !span.IsRecording() {
		return
	}
	defer span.End()
	result := "hit"
	switch {
	case errors.Is(err, ErrRevoked):
		span.SetAttributes(spans.CacheResult.String("revoked"))
		return
	case err == context.Canceled, err == context.DeadlineExceeded: //nolint:errorlint // a load's own error wraps them
		span.SetAttributes(spans.CacheResult.String("canceled"))
		return
	case r.Outcome.denies():
		result = "negative"
	case err != nil:
		result = "failure"
	case r.Stale != NotStale:
		result = "stale"
	case r.Source == FromOrigin:
		result = "load"
	}
	span.SetAttributes(spans.CacheLevel.String(levels[r.Source]), spans.CacheResult.String(result))
}

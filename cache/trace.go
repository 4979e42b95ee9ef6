package cache

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"authentik-graphql/internal/telemetry/spans"
)

// The spans of a read. What a flight does is below the read that began it, which may have ended: one
// that revalidates goes on after the stale answer.
const (
	readSpan  = "cache read"
	fetchSpan = "cache fetch"
	joinSpan  = "cache join"
	leaseSpan = "cache lease wait"
)

var levels = map[Source]string{FromOrigin: "upstream", FromMemory: "memory", FromRedis: "redis"}

// ended ends the span of a read or a flight, with what came of it and from which level.
func (c *Cache[V]) ended(span spans.Span, r Result[V], err error) {
	if !span.IsRecording() {
		return
	}
	defer span.End()
	result := "hit"
	switch {
	case errors.Is(err, ErrRevoked):
		span.Set(spans.CacheResult, "revoked")
		return
	case err == context.Canceled, err == context.DeadlineExceeded: //nolint:errorlint // a load's own error wraps them
		span.Set(spans.CacheResult, "canceled")
		return
	case err != nil && r.Source == FromOrigin && c.classify(err).denies(), err != nil && r.Outcome.denies():
		result = "negative"
	case err != nil:
		result = "failure"
	case r.Stale != NotStale:
		result = "stale"
	case r.Source == FromOrigin:
		result = "load"
	}
	span.Set(spans.CacheLevel, levels[r.Source])
	span.Set(spans.CacheResult, result)
}

// operationSpan begins the span of an operation of Redis.
func (r *Redis[V]) operationSpan(ctx context.Context, op Operation) spans.Span {
	_, span := r.spans.StartClient(ctx, "redis")
	if span.IsRecording() {
		span.Rename("redis " + op.String())
		span.Set(semconv.DBSystemNameKey, "redis")
		span.Set(semconv.DBOperationNameKey, op.String())
	}
	return span
}

// endOperation ends it.
func endOperation(span spans.Span, err error) {
	if err != nil && span.IsRecording() {
		span.Fail(failureOf(err))
	}
	span.End()
}

// failureOf is the kind of a failure of Redis.
func failureOf(err error) string {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "no_connection_free"
	case refuses(err):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded), ok && timeout.Timeout():
		return "timeout"
	}
	return "unavailable"
}

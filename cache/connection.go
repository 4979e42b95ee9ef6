package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/redis/go-redis/v9"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"authentik-graphql/internal/telemetry/spans"
)

const (
	// redisTimeout bounds each wait of an operation: for a connection, for the reply.
	redisTimeout = 150 * time.Millisecond
	// operationTimeout bounds a whole operation.
	operationTimeout = 2 * redisTimeout
	// After breakerThreshold failures in a row operations are skipped for breakerDelay.
	breakerThreshold = 5
	breakerDelay     = time.Second
)

// connection runs operations on Redis behind a circuit breaker, so that reads do not wait for a Redis that
// keeps failing.
type connection struct {
	client  redis.UniversalClient
	log     *slog.Logger
	observe func(op Operation, took time.Duration, err error)
	spans   *spans.Tracer
	breaker circuitbreaker.CircuitBreaker[any]
	// failure is the last one that counted against Redis.
	failure atomic.Pointer[error]
	// readOnly reports that Redis refuses to store: it is full, or a replica.
	readOnly atomic.Bool
}

func newConnection(client redis.UniversalClient, o StoreOptions) *connection {
	c := &connection{client: client, log: o.Logger, observe: o.Observe, spans: o.Spans}
	c.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(breakerThreshold).
		WithSuccessThreshold(1).
		WithDelay(breakerDelay).
		OnOpen(func(e circuitbreaker.StateChangedEvent) {
			if e.OldState == circuitbreaker.ClosedState { // not again for each probe that fails
				c.log.Warn("Redis cannot be used; reads come from memory and upstream", "error", *c.failure.Load())
			}
		}).
		OnClose(func(circuitbreaker.StateChangedEvent) { c.log.Info("Redis can be used again") }).
		Build()
	return c
}

// errBreakerOpen is returned for an operation that was skipped after failures.
var errBreakerOpen = errors.New("cache: the circuit breaker of Redis is open")

// do runs one operation. It outlives the request that wants it: an operation that is cut off costs its
// connection, and a caller that leaves says nothing about Redis.
func (c *connection) do(ctx context.Context, op Operation, run func(context.Context) error) error {
	if !c.breaker.TryAcquirePermit() {
		return errBreakerOpen
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), operationTimeout)
	defer cancel()
	_, span := c.spans.Start(ctx, "redis "+string(op), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.DBSystemNameRedis, semconv.DBOperationName(string(op))))
	defer span.End()
	began := time.Now()
	err := run(ctx)
	if c.observe != nil {
		c.observe(op, time.Since(began), err)
	}
	if err == nil {
		c.breaker.RecordSuccess()
		return nil
	}
	kind := failureKind(err)
	spans.Fail(span, kind)
	switch kind {
	case poolExhausted: // by our own load, which is no fault of Redis
		c.breaker.RecordSuccess()
	case refused:
		c.breaker.RecordSuccess()
		if c.readOnly.CompareAndSwap(false, true) {
			c.log.Warn("Redis does not store; processes do not share loads", "error", err)
		}
	default:
		c.failure.Store(&err)
		c.breaker.RecordFailure()
	}
	return fmt.Errorf("cache: redis %s: %w", op, err)
}

// noteStored notes that Redis stored something. What only deletes or renews works on a full one as well.
func (c *connection) noteStored() {
	if c.readOnly.Load() && c.readOnly.CompareAndSwap(true, false) {
		c.log.Info("Redis stores again")
	}
}

// The kinds of failures of Redis, as spans show them.
const (
	poolExhausted = "no_connection_free"
	refused       = "refused"
	timedOut      = "timeout"
	unavailable   = "unavailable"
)

func failureKind(err error) string {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return poolExhausted
	case refuses(err):
		return refused
	case errors.Is(err, context.DeadlineExceeded), ok && timeout.Timeout():
		return timedOut
	}
	return unavailable
}

// refuses reports whether Redis works but does not store: it is full, or a replica.
func refuses(err error) bool {
	// Before release 7 an error in a script is reported as one of the script.
	inScript := redis.HasErrorPrefix(err, "Error running script")
	for _, prefix := range []string{"OOM", "READONLY", "MISCONF", "NOREPLICAS", "NOPERM"} {
		if redis.HasErrorPrefix(err, prefix) || inScript && strings.Contains(err.Error(), "-"+prefix+" ") {
			return true
		}
	}
	return false
}

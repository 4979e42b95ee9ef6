package telemetry

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// UpstreamObserver makes the function to call after each call to authentik.
func (m *Metrics) UpstreamObserver() func(took time.Duration, err error) {
	const succeeded = "ok"
	durations := m.histograms("upstream_call_duration_seconds", "Time of a call to authentik, each try by itself, by what its status means.", "outcome",
		.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	durations.WithLabelValues(succeeded)
	for _, kind := range upstream.Kinds() {
		durations.WithLabelValues(kindName(kind))
	}
	return func(took time.Duration, err error) {
		outcome := succeeded
		if e, ok := errors.AsType[*upstream.Error](err); ok {
			outcome = kindName(e.Kind)
		}
		durations.WithLabelValues(outcome).Observe(took.Seconds())
		m.lastCalls.record(err)
	}
}

// RedisObserver makes the function to call after each Redis operation.
func (m *Metrics) RedisObserver() func(op cache.Operation, took time.Duration, err error) {
	durations := m.histograms("redis_operation_duration_seconds", "Time of a Redis operation.", "operation",
		.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5)
	failures := m.counters("redis_operation_errors_total", "Redis operations that failed.", "operation")
	for _, op := range cache.Operations() {
		durations.WithLabelValues(string(op))
		failures.WithLabelValues(string(op))
	}
	return func(op cache.Operation, took time.Duration, err error) {
		durations.WithLabelValues(string(op)).Observe(took.Seconds())
		if err != nil {
			failures.WithLabelValues(string(op)).Inc()
		}
	}
}

// lastCalls remembers the last answer and the last failure of authentik.
type lastCalls struct {
	answer  atomic.Pointer[time.Time]
	failure atomic.Pointer[UpstreamFailure]
}

// UpstreamFailure is a call that authentik did not answer as it should.
type UpstreamFailure struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
}

// LastAnswer returns when authentik last answered a call, or nil before the first time.
func (m *Metrics) LastAnswer() *time.Time { return m.lastCalls.answer.Load() }

// LastFailure returns the last call on which authentik failed, or nil before the first.
func (m *Metrics) LastFailure() *UpstreamFailure { return m.lastCalls.failure.Load() }

// record notes the end of a call. A call that failed in this process, or was canceled with its caller's
// request, says nothing about authentik. A refusal is an answer.
func (l *lastCalls) record(err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	e, isError := errors.AsType[*upstream.Error](err)
	if !isError {
		l.answer.Store(&now)
		return
	}
	switch e.Kind {
	case upstream.Failed, upstream.Unavailable, upstream.Timeout, upstream.InvalidResponse:
		if !errors.Is(err, context.Canceled) {
			l.failure.Store(&UpstreamFailure{now, kindName(e.Kind)})
		}
	case upstream.Internal:
	default:
		l.answer.Store(&now)
	}
}

// kindName is the name of an upstream error's kind in metrics and probes.
func kindName(kind upstream.Kind) string { return strings.ReplaceAll(kind.String(), " ", "_") }

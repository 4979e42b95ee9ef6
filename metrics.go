package main

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/buildinfo"
	"authentik-graphql/upstream"
)

// namespace begins the name of each metric of ours.
const namespace = "authentik_graphql"

// The types of an operation: there is none in a request that names none.
const (
	typeNone = iota
	typeQuery
	typeMutation
)

var typeNames = [...]string{typeNone: "none", typeQuery: "query", typeMutation: "mutation"}

// outcome is what became of a request, from good to bad: of several errors the worst counts.
type outcome int

const (
	// succeeded: an answer without errors.
	succeeded outcome = iota
	// erred: an answer with errors that are about what was asked for, such as a code that is not there.
	erred
	// refused: nothing that this service runs, not valid, or over a limit. It is the client's to mend.
	refused
	// failed: this service or authentik did not do what it should.
	failed
	// left: the client did not wait for its answer.
	left
)

var outcomeNames = [...]string{succeeded: "ok", erred: "error", refused: "refused", failed: "failed", left: "left"}

// codeOutcomes are all values of extensions.code and what a request comes to that has one.
var codeOutcomes = map[string]outcome{
	apierror.Unauthenticated: erred, apierror.Forbidden: erred, apierror.NotFound: erred, apierror.BadUserInput: erred,
	apierror.RateLimited: erred, apierror.IntrospectionDisabled: erred, apierror.FederationDisabled: erred,

	"GRAPHQL_PARSE_FAILED": refused, "GRAPHQL_VALIDATION_FAILED": refused, apierror.LimitExceeded: refused,
	apierror.PersistedQueryNotFound: refused, apierror.DocumentNotTrusted: refused, apierror.BadRequest: refused,
	apierror.BatchingNotSupported: refused, apierror.PayloadTooLarge: refused, apierror.URITooLong: refused,
	apierror.HeadersTooLarge: refused, apierror.RequestTimeout: refused, apierror.NotAcceptable: refused,
	apierror.UnsupportedMediaType: refused, apierror.MethodNotAllowed: refused,

	apierror.UpstreamError: failed, apierror.UpstreamUnavailable: failed, apierror.GatewayTimeout: failed,
	apierror.InvalidResponse: failed, apierror.Internal: failed, apierror.TooManyConnections: failed, apierror.Overloaded: failed,
}

// otherCode stands for a code that is not in the table, which would be a mistake.
const otherCode = "other"

// metrics are what this service counts and measures, in a registry of its own. Every label has the
// values that are made here at start and never one that a client sent. What a request counts is looked
// up at start as well: by name it would take longer than the counting.
type metrics struct {
	registry  *prometheus.Registry
	requests  [len(typeNames)][len(outcomeNames)]prometheus.Counter
	durations [len(typeNames)]prometheus.Observer
	errors    map[string]prometheus.Counter // by code
	last      lastCalls
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), errors: map[string]prometheus.Counter{}}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	requests := m.counters("requests_total", "Requests to the GraphQL endpoint, by type of operation and outcome.", "type", "outcome")
	durations := m.histograms("request_duration_seconds", "Time from a request's headers to the end of its answer.", "type",
		.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	for kind, name := range typeNames {
		m.durations[kind] = durations.WithLabelValues(name)
		for o, outcome := range outcomeNames {
			m.requests[kind][o] = requests.WithLabelValues(name, outcome)
		}
	}
	codes := m.counters("errors_total", "Errors in answers, at most eight of one answer, by extensions.code.", "code")
	m.errors[otherCode] = codes.WithLabelValues(otherCode)
	for code := range codeOutcomes {
		m.errors[code] = codes.WithLabelValues(code)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of this service and of Go.",
		ConstLabels: prometheus.Labels{"version": buildinfo.Version(), "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build)
	return m
}

func (m *metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

// histograms have the buckets that every Prometheus reads, and native ones, each at most a tenth wider
// than the one before, for a Prometheus that asks for them. The number of those is bounded: they are
// made as durations come, and 160 span from 20 microseconds to 20 seconds.
func (m *metrics) histograms(name, help, label string, buckets ...float64) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{label})
	m.registry.MustRegister(v)
	return v
}

// answered counts a request to the GraphQL endpoint, at its end. ctx is the request's: it is canceled if
// the client left.
func (m *metrics) answered(ctx context.Context, status int, facts *graph.Facts, took time.Duration) {
	kind := typeNone
	switch facts.OperationType {
	case "query":
		kind = typeQuery
	case "mutation":
		kind = typeMutation
	}
	m.durations[kind].Observe(took.Seconds())
	if status == http.StatusOK && len(facts.ErrorCodes) == 0 {
		m.requests[kind][succeeded].Inc()
		return
	}
	for _, code := range facts.ErrorCodes {
		m.erred(code)
	}
	m.requests[kind][outcomeOf(ctx, status, facts.ErrorCodes)].Inc()
}

// outcomeOf goes by the codes: the status of what GraphQL refuses depends on the media type. But the
// status tells our own FORBIDDEN and RATE_LIMITED from authentik's.
func outcomeOf(ctx context.Context, status int, codes []string) outcome {
	worst := succeeded
	for _, code := range codes {
		o, known := codeOutcomes[code]
		if !known {
			o = failed
		}
		worst = max(worst, o)
	}
	switch {
	case status == 0, worst == failed && errors.Is(ctx.Err(), context.Canceled): // it may also be out of time
		return left
	case status > http.StatusBadRequest:
		return max(worst, refused)
	}
	return worst
}

func (m *metrics) erred(code string) {
	counter, known := m.errors[code]
	if !known {
		counter = m.errors[otherCode]
	}
	counter.Inc()
}

// turnedAway counts a request on a connection over the limit. Nobody looked at what it asks for.
func (m *metrics) turnedAway() {
	m.requests[typeNone][failed].Inc()
	m.erred(apierror.TooManyConnections)
}

// upstreamCalls makes the observer of calls to authentik, which remembers the last of them, too.
func (m *metrics) upstreamCalls() func(took time.Duration, err error) {
	v := m.histograms("upstream_call_duration_seconds", "Time of a call to authentik, each try apart, by what its status said.", "outcome",
		.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	answered := v.WithLabelValues("ok")
	kinds := upstream.Kinds()
	byKind := make([]prometheus.Observer, len(kinds))
	for i, kind := range kinds {
		byKind[i] = v.WithLabelValues(kindName(kind))
	}
	return func(took time.Duration, err error) {
		observer := answered
		if e, ok := errors.AsType[*upstream.Error](err); ok {
			observer = byKind[e.Kind]
		}
		observer.Observe(took.Seconds())
		m.last.ended(err)
	}
}

// redisOperations makes the observer of Redis. Without Redis there are no such metrics.
func (m *metrics) redisOperations() func(op cache.Operation, took time.Duration, err error) {
	durations := m.histograms("redis_operation_duration_seconds", "Time of an operation of Redis.", "operation",
		.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5)
	failures := m.counters("redis_operation_errors_total", "Operations on which Redis failed.", "operation")
	all := cache.Operations()
	times, errs := make([]prometheus.Observer, len(all)), make([]prometheus.Counter, len(all))
	for i, op := range all {
		times[i], errs[i] = durations.WithLabelValues(op.String()), failures.WithLabelValues(op.String())
	}
	return func(op cache.Operation, took time.Duration, err error) {
		times[op].Observe(took.Seconds())
		if err != nil {
			errs[op].Inc()
		}
	}
}

package telemetry

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// namespace begins the name of each metric of the service.
const namespace = "authentik_graphql"

// Metrics are the service's metrics, in a registry of their own. Every series exists from the start, but for those
// of keys in authentik's answers.
type Metrics struct {
	registry  *prometheus.Registry
	factory   promauto.Factory         // registers what it makes
	requests  *prometheus.CounterVec   // by type and outcome
	durations *prometheus.HistogramVec // by type
	errors    *prometheus.CounterVec   // by code
	lastCalls lastCalls
}

// NewMetrics makes the metrics of a service of the given version.
func NewMetrics(version string) *Metrics {
	registry := prometheus.NewRegistry()
	m := &Metrics{registry: registry, factory: promauto.With(registry)}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.requests = m.counters("requests_total", "Requests to the GraphQL endpoint, by operation type and outcome.", "type", "outcome")
	m.durations = m.histograms("request_duration_seconds", "Time from a request's headers to the end of its response.", "type",
		.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	m.errors = m.counters("errors_total", "Errors in responses, at most eight of one response, by extensions.code.", "code")
	for _, operation := range []string{"query", "mutation", noOperation} {
		m.durations.WithLabelValues(operation)
		for _, outcome := range outcomes {
			m.requests.WithLabelValues(operation, outcome)
		}
	}
	m.errors.WithLabelValues(otherCode)
	for code := range codeOutcomes {
		m.errors.WithLabelValues(code)
	}
	m.gauge("build_info", "1, with the version of this service and of Go.",
		prometheus.Labels{"version": version, "goversion": runtime.Version()}, constant(1))
	return m
}

// Handler serves the metrics in Prometheus's format.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError)})
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return m.factory.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// histograms makes a histogram with the buckets that every Prometheus reads, and with native ones, each at most
// a tenth wider than the last, for a Prometheus that asks for those. Native buckets appear as durations are
// observed; 160 of them span 20 microseconds to 20 seconds.
func (m *Metrics) histograms(name, help, label string, buckets ...float64) *prometheus.HistogramVec {
	return m.factory.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{label})
}

// gauge adds a series that is read at each scrape.
func (m *Metrics) gauge(name, help string, labels prometheus.Labels, read func() int64) {
	m.factory.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels},
		func() float64 { return float64(read()) })
}

// counter is gauge for a number that only grows.
func (m *Metrics) counter(name, help string, labels prometheus.Labels, read func() int64) {
	m.factory.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels},
		func() float64 { return float64(read()) })
}

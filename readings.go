package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// snapshot is what the parts of the service say of themselves at one moment.
type snapshot struct {
	*service
	cache    cache.Stats
	upstream upstream.Stats
	redis    cache.RedisStatus // of a service with Redis
}

// reading is a metric that is read at the time of a scrape, from what is counted anyway: it costs
// requests nothing.
type reading struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	series     []series
}

// series is one of a reading's: its labels' values, and how it is read.
type series struct {
	values []string
	read   func(s *snapshot) int64
}

func alone(read func(s *snapshot) int64) []series { return []series{{nil, read}} }

func at(read func(s *snapshot) int64, values ...string) series { return series{values, read} }

// sizeOf is how many entries a store has, and about how many bytes they take.
type sizeOf func() (entries int, bytes uint64)

// collector is a [prometheus.Collector] of a service's readings.
type collector struct {
	service  *service
	readings []reading
	descs    []*prometheus.Desc
}

var _ prometheus.Collector = (*collector)(nil)

// register adds a service's readings to its metrics. sizes are of its stores, by level.
func (s *service) register(sizes map[string]sizeOf) {
	readings := readingsOf(sizes)
	if s.redis != nil {
		readings = append(readings, redisReadings()...)
	}
	s.metrics.registry.MustRegister(newCollector(s, readings))
}

func newCollector(s *service, readings []reading) *collector {
	c := &collector{service: s, readings: readings}
	for _, r := range readings {
		c.descs = append(c.descs, prometheus.NewDesc(prometheus.BuildFQName(namespace, "", r.name), r.help, r.labels, nil))
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range c.descs {
		descs <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	now := &snapshot{service: c.service, cache: c.service.cache.Stats(), upstream: c.service.client.Stats()}
	if now.service.redis != nil {
		now.redis = now.service.redis.Status()
	}
	for i, r := range c.readings {
		for _, s := range r.series {
			metrics <- prometheus.MustNewConstMetric(c.descs[i], r.kind, float64(s.read(now)), s.values...)
		}
	}
}

// breakerStates makes the reading of a circuit breaker's state.
func breakerStates(name, before string, read func(*snapshot) string) reading {
	r := reading{name, "1 for the state of the circuit breaker before " + before + ", 0 for the others.", prometheus.GaugeValue, []string{"state"}, nil}
	for _, state := range upstream.BreakerStates() { // which those of Redis are, too
		r.series = append(r.series, at(func(s *snapshot) int64 { return toInt(read(s) == state) }, state))
	}
	return r
}

// redisReadings lists what is told of Redis besides, if there is one.
func redisReadings() []reading {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	return []reading{
		breakerStates("redis_breaker_state", "Redis", func(s *snapshot) string { return s.redis.Breaker }),
		{"redis_hears_revocations", "1 while Redis tells this process of revocations; else each read asks for them.", gauge, nil, alone(func(s *snapshot) int64 { return toInt(s.redis.Hears) })},
		{"redis_stores", "0 from when Redis refused to store, as it is full or a replica, until it stores again; else 1.", gauge, nil, alone(func(s *snapshot) int64 { return toInt(s.redis.Stores) })},
		{"redis_untold_revocations", "Revocations that other processes could not be told of yet.", gauge, nil, alone(func(s *snapshot) int64 { return int64(s.redis.Untold) })},
		{"cache_leases_taken_total", "Leases that this process took to load what others may be waiting for.", counter, nil, alone(func(s *snapshot) int64 { return s.redis.Leases })},
	}
}

// readingsOf lists all readings of any service. sizes are of its stores, by level.
func readingsOf(sizes map[string]sizeOf) []reading {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	entries := reading{"cache_entries", "What is kept in memory, about.", gauge, []string{"level"}, nil}
	bytes := reading{"cache_bytes", "The memory that it takes, about.", gauge, []string{"level"}, nil}
	for level, size := range sizes {
		entries.series = append(entries.series, at(func(*snapshot) int64 { n, _ := size(); return int64(n) }, level))
		bytes.series = append(bytes.series, at(func(*snapshot) int64 { _, n := size(); return int64(n) }, level)) //nolint:gosec // it fits
	}
	return []reading{
		entries, bytes,
		{"cache_reads_total", "Reads of grants and lists by the level that answered them and what it had; upstream: loads, which asked authentik. A cached response is one read, whatever it shows.", counter, []string{"level", "result"}, []series{
			at(func(s *snapshot) int64 { return s.responses.Replayed() }, "response", "hit"),
			at(func(s *snapshot) int64 { return s.cache.FirstHits }, "memory", "hit"),
			at(func(s *snapshot) int64 { return s.cache.NegativeHits - s.cache.SecondNegativeHits }, "memory", "negative"),
			at(func(s *snapshot) int64 { return s.cache.FailureHits - s.cache.SecondFailureHits }, "memory", "failure"),
			at(func(s *snapshot) int64 { return s.cache.Stale - s.cache.SecondStale }, "memory", "stale"),
			at(func(s *snapshot) int64 { return s.cache.SecondHits }, "redis", "hit"),
			at(func(s *snapshot) int64 { return s.cache.SecondNegativeHits }, "redis", "negative"),
			at(func(s *snapshot) int64 { return s.cache.SecondFailureHits }, "redis", "failure"),
			at(func(s *snapshot) int64 { return s.cache.SecondStale }, "redis", "stale"),
			at(func(s *snapshot) int64 { return s.cache.Loads }, "upstream", "load"),
		}},
		{"cache_joined_total", "Reads that waited for what another read was getting.", counter, nil, alone(func(s *snapshot) int64 { return s.cache.Joined })},
		{"cache_lease_waits_total", "Pauses in which another process's load was awaited.", counter, nil, alone(func(s *snapshot) int64 { return s.cache.LeaseWaits })},
		{"cache_leases_lost_total", "Loads whose lease lapsed, because Redis heard nothing of them for too long.", counter, nil, alone(func(s *snapshot) int64 { return s.cache.LeasesLost })},
		{"cache_untrusted_values_total", "Values in Redis that this service did not store under their name: somebody else writes there.", counter, nil, alone(func(s *snapshot) int64 { return s.cache.Untrusted + s.redis.UntrustedTexts })},
		{"cache_revocations_heard_total", "Revocations that Redis told of, this process's own included.", counter, nil, alone(func(s *snapshot) int64 { return s.cache.BurialsHeard })},
		{"cache_redis_errors_total", "Operations on which Redis failed the cache, or that it was spared after failures.", counter, nil, alone(func(s *snapshot) int64 { return s.cache.SecondErrors })},

		{"upstream_calls_total", "Calls that were sent to authentik, retries included.", counter, nil, alone(func(s *snapshot) int64 { return s.upstream.Calls })},
		{"upstream_retries_total", "Calls that were sent again after a failure.", counter, nil, alone(func(s *snapshot) int64 { return s.upstream.Retries })},
		{"upstream_rejected_total", "Calls that were turned away before they were sent: the breaker was open, or the queue full or too slow.", counter, nil, alone(func(s *snapshot) int64 { return s.upstream.Rejected })},
		{"upstream_breaker_opened_total", "How often the circuit breaker before authentik opened; a probe that failed does not count.", counter, nil, alone(func(s *snapshot) int64 { return s.upstream.BreakerOpened })},
		breakerStates("upstream_breaker_state", "authentik", func(s *snapshot) string { return s.upstream.BreakerState }),
		{"upstream_concurrency", "UPSTREAM_CONCURRENCY: how many calls to authentik may run.", gauge, nil, alone(func(s *snapshot) int64 { return int64(s.cfg.Concurrency) })},
		{"upstream_running", "Calls to authentik that run.", gauge, nil, alone(func(s *snapshot) int64 { return s.upstream.Running })},
		{"upstream_queued", "Calls to authentik that wait for their turn.", gauge, nil, alone(func(s *snapshot) int64 { return s.upstream.Queued })},
		{"upstream_dropped_fields_total", "Fields that authentik sent in an unknown form, and that were shown as null.", counter, nil, alone(func(s *snapshot) (n int64) {
			for _, dropped := range s.upstream.Dropped {
				n += dropped
			}
			return n
		})},

		{"open_connections", "Connections of clients.", gauge, nil, alone(func(s *snapshot) int64 { return s.conns.open.Load() })},
		{"max_connections", "MAX_CONNECTIONS: how many connections of clients may be open.", gauge, nil, alone(func(s *snapshot) int64 { return int64(s.cfg.MaxConnections) })},
		{"draining", "1 while requests that run are awaited before the end.", gauge, nil, alone(func(s *snapshot) int64 { return toInt(s.draining.Load()) })},
		{"memory_limit_bytes", "The soft limit of Go's memory.", gauge, nil, alone(func(*snapshot) int64 { return int64(currentMemoryLimit()) })}, //nolint:gosec // it was one
	}
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

package telemetry

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// Sources are what some metrics are read from at each scrape. The sources are counted anyway, so these
// metrics cost a request nothing.
type Sources struct {
	Cache    func() cache.Stats
	Upstream func() upstream.Stats
	Keys     func() (absent, unknown map[upstream.Key]int64)
	Redis    func() cache.RedisStatus // nil without Redis
	// Replays counts the responses that the response cache replayed.
	Replays func() int64
	// Memory, Responses and Documents return the sizes of the stores of values, responses and documents.
	Memory, Responses, Documents func() (entries int, bytes uint64)

	OpenConnections func() int64
	Draining        func() bool
	// MaxConnections and UpstreamConcurrency are the settings of these names.
	MaxConnections, UpstreamConcurrency int
}

// Collect adds the metrics that are read from the sources.
func (m *Metrics) Collect(s Sources) {
	m.collectStores(s)
	m.collectCache(s)
	m.collectUpstream(s)
	m.collectKeys(s.Keys)
	if s.Redis != nil {
		m.collectRedis(s)
	}
	m.gauge("open_connections", "Open connections of clients.", nil, s.OpenConnections)
	m.gauge("max_connections", "MAX_CONNECTIONS: how many connections of clients may be open.", nil, constant(s.MaxConnections))
	m.gauge("draining", "1 while the process finishes its last requests before it ends.", nil,
		func() int64 { return toInt(s.Draining()) })
	m.gauge("memory_limit_bytes", "Go's soft memory limit.", nil,
		func() int64 { return debug.SetMemoryLimit(-1) }) // which only reads it
}

func (m *Metrics) collectStores(s Sources) {
	for level, size := range map[string]func() (int, uint64){"memory": s.Memory, "response": s.Responses, "documents": s.Documents} {
		labels := prometheus.Labels{"level": level}
		m.gauge("cache_entries", "Entries in this process's memory, approximately.", labels,
			func() int64 { n, _ := size(); return int64(n) })
		m.gauge("cache_bytes", "Memory that the entries take, approximately.", labels,
			func() int64 { _, n := size(); return int64(n) }) //nolint:gosec // it fits
	}
}

func (m *Metrics) collectCache(s Sources) {
	count := func(name, help string, labels prometheus.Labels, read func(cache.Stats) int64) {
		m.counter(name, help, labels, func() int64 { return read(s.Cache()) })
	}
	reads := func(level, result string, read func(cache.Stats) int64) {
		count("cache_reads_total", "Reads of grants and lists, by the level that answered and its result. A replayed response is one read.",
			prometheus.Labels{"level": level, "result": result}, read)
	}
	reads("response", "hit", func(cache.Stats) int64 { return s.Replays() })
	reads("memory", "hit", func(c cache.Stats) int64 { return c.Memory.Hits })
	reads("memory", "negative", func(c cache.Stats) int64 { return c.Memory.Denials })
	reads("memory", "failure", func(c cache.Stats) int64 { return c.Memory.Failures })
	reads("memory", "stale", func(c cache.Stats) int64 { return c.Memory.Stale })
	reads("redis", "hit", func(c cache.Stats) int64 { return c.Redis.Hits })
	reads("redis", "negative", func(c cache.Stats) int64 { return c.Redis.Denials })
	reads("redis", "failure", func(c cache.Stats) int64 { return c.Redis.Failures })
	reads("redis", "stale", func(c cache.Stats) int64 { return c.Redis.Stale })
	reads("upstream", "load", func(c cache.Stats) int64 { return c.Loads })
	count("cache_joined_total", "Reads that waited for another read's load.", nil,
		func(c cache.Stats) int64 { return c.Joined })
	count("cache_lease_waits_total", "Pauses to wait for another process's load.", nil,
		func(c cache.Stats) int64 { return c.LeaseWaits })
	count("cache_leases_lost_total", "Loads whose lease expired, because Redis was not reached in time to renew it.", nil,
		func(c cache.Stats) int64 { return c.LeasesLost })
	count("cache_revocations_received_total", "Revocations received from Redis, this process's own included.", nil,
		func(c cache.Stats) int64 { return c.RevocationsReceived })
	count("cache_redis_errors_total", "Cache operations on which Redis failed, or that were skipped after failures.", nil,
		func(c cache.Stats) int64 { return c.RedisErrors })
	count("cache_untrusted_values_total", "Values in Redis that this service did not store under their key: something else writes there.", nil,
		func(c cache.Stats) int64 {
			if s.Redis == nil {
				return c.Untrusted
			}
			return c.Untrusted + s.Redis().UntrustedTexts
		})
}

func (m *Metrics) collectUpstream(s Sources) {
	count := func(name, help string, read func(upstream.Stats) int64) {
		m.counter(name, help, nil, func() int64 { return read(s.Upstream()) })
	}
	count("upstream_calls_total", "Calls sent to authentik, retries included.", func(u upstream.Stats) int64 { return u.Calls })
	count("upstream_retries_total", "Calls sent again after a failure.", func(u upstream.Stats) int64 { return u.Retries })
	count("upstream_rejected_total", "Calls rejected before they were sent: the breaker was open, or the queue full or too slow.",
		func(u upstream.Stats) int64 { return u.Rejected })
	count("upstream_breaker_opened_total", "How often the circuit breaker for authentik opened, failed probes not included.",
		func(u upstream.Stats) int64 { return u.BreakerOpened })
	count("upstream_dropped_fields_total", "Fields that authentik sent in an unknown form, and that are shown as null.",
		func(u upstream.Stats) (n int64) {
			for _, dropped := range u.Dropped {
				n += dropped
			}
			return n
		})
	m.breaker("upstream_breaker_state", "authentik", func() string { return s.Upstream().BreakerState })
	m.gauge("upstream_concurrency", "UPSTREAM_CONCURRENCY: how many calls to authentik may run.", nil, constant(s.UpstreamConcurrency))
	m.gauge("upstream_running", "Calls to authentik that are running.", nil, func() int64 { return s.Upstream().Running })
	m.gauge("upstream_queued", "Calls to authentik that wait for their turn.", nil, func() int64 { return s.Upstream().Queued })
}

func (m *Metrics) collectRedis(s Sources) {
	m.breaker("redis_breaker_state", "Redis", func() string { return s.Redis().Breaker })
	m.gauge("redis_in_sync", "1 while this process receives revocations from Redis; at 0 each read asks Redis for them.", nil,
		func() int64 { return toInt(s.Redis().InSync) })
	m.gauge("redis_writable", "0 from when Redis refused to store, as it is full or a replica, until it stores again; else 1.", nil,
		func() int64 { return toInt(s.Redis().Writable) })
	m.gauge("redis_pending_revocations", "Revocations that other processes could not be notified of yet.", nil,
		func() int64 { return int64(s.Redis().PendingRevocations) })
	m.counter("cache_leases_acquired_total", "Leases acquired: loads that other processes may wait for.", nil,
		func() int64 { return s.Redis().Leases })
}

// breaker adds the state of a circuit breaker as one series for each state.
func (m *Metrics) breaker(name, of string, state func() string) {
	for _, each := range upstream.BreakerStates() { // the breaker of Redis has the same
		m.gauge(name, "1 for the state of the circuit breaker for "+of+", 0 for the others.",
			prometheus.Labels{"state": each}, func() int64 { return toInt(state() == each) })
	}
}

func constant(n int) func() int64 { return func() int64 { return int64(n) } }

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

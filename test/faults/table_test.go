//go:build linux

package faults

import (
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// Values of extensions.code.
const (
	codeNotFound    = "NOT_FOUND"
	codeRateLimited = "RATE_LIMITED"
	codeFailed      = "UPSTREAM_ERROR"
	codeUnavailable = "UPSTREAM_UNAVAILABLE"
	codeTimeout     = "GATEWAY_TIMEOUT"
	codeInvalid     = "UPSTREAM_INVALID_RESPONSE"

	codeNotPersisted = "PERSISTED_QUERY_NOT_FOUND"
)

// fault is a row of the table: something that breaks and is repaired.
type fault struct {
	name  string
	begin func(*harness)
	end   func(*harness) // nil if it mends itself
	// codes are the errors that are allowed while it is broken. If there are none, every response must
	// hold data.
	codes      []string
	maxLatency time.Duration
	mode       cache.RedisMode // "" is one server
	proxied    bool            // a proxy is between the service and Redis
	mustLog    bool            // the service must log that Redis cannot be used
	fatal      bool            // the service itself dies, and running requests with it
}

// faults returns the rows in the order of the table.
func faults() []fault {
	rows := redisFaults()
	rows = append(rows, authentikFaults()...)
	return append(rows, fault{
		name: "the service is killed and started again",
		begin: func(s *harness) {
			cachetest.Eventually(s.t, "requests are running", func() bool { return s.traffic.inFlight() > 2 })
			s.service.kill()
		},
		end:        func(s *harness) { s.service.start() },
		maxLatency: 2 * time.Second,
		fatal:      true,
	})
}

// redisFaults must cause no error. The bound is far above the 300 ms that a lost Redis costs a read, so
// that a busy machine does not fail the test, and below what an unbounded wait would take.
func redisFaults() []fault {
	rows := []fault{
		{
			name:    "Redis is killed and started again, empty",
			begin:   func(s *harness) { s.redis.Kill() },
			end:     func(s *harness) { s.redis.Restart() },
			mustLog: true,
		},
		{
			name:  "Redis is restarted, empty",
			begin: func(s *harness) { s.redis.Restart() },
		},
		{
			name:    "Redis halts and goes on",
			begin:   func(s *harness) { s.redis.Stop() },
			end:     func(s *harness) { s.redis.Cont() },
			mustLog: true,
		},
		{
			name:    "Redis takes 200 ms longer for a command",
			begin:   func(s *harness) { s.proxy.slow(200 * time.Millisecond) },
			end:     func(s *harness) { s.proxy.slow(0) },
			proxied: true,
			mustLog: true,
		},
		{
			name:    "Redis is full",
			begin:   func(s *harness) { s.admin(redisPassword, "CONFIG", "SET", "maxmemory", "1") },
			end:     func(s *harness) { s.admin(redisPassword, "CONFIG", "SET", "maxmemory", "0") },
			mustLog: true,
		},
		{
			name:    "Redis has another password",
			begin:   func(s *harness) { s.changePassword(redisPassword, otherPassword) },
			end:     func(s *harness) { s.changePassword(otherPassword, redisPassword) },
			mustLog: true,
		},
		{
			name:    "Redis is read-only: a replica without its primary",
			begin:   func(s *harness) { s.admin(redisPassword, "REPLICAOF", "127.0.0.1", "1") },
			end:     func(s *harness) { s.admin(redisPassword, "REPLICAOF", "NO", "ONE") },
			mustLog: true,
		},
		{
			name:    "Redis fails over to its replica",
			mode:    cache.Sentinel,
			begin:   func(s *harness) { s.sentinel.Failover((*cachetest.RedisServer).Kill) },
			mustLog: true,
		},
		{
			name:    "Redis Cluster loses a master",
			mode:    cache.Cluster,
			begin:   func(s *harness) { s.cluster.KillMaster("a") },
			mustLog: true,
		},
	}
	for i := range rows {
		rows[i].maxLatency = 2 * time.Second
	}
	return rows
}

// authentikFaults may cause an error for what is not in the cache, with the code that fits.
func authentikFaults() []fault {
	rows := []fault{
		{
			name:  "authentik is killed and started again",
			begin: func(s *harness) { s.authentik.kill() },
			end:   func(s *harness) { s.authentik.open() },
			codes: []string{codeUnavailable},
		},
		answering("authentik hangs", upstreamtest.Hang, codeTimeout, codeUnavailable),
		answering("authentik takes 1 s longer", upstreamtest.SlowHeaders(time.Second), codeTimeout),
		answering("authentik answers 500", upstreamtest.Error500, codeFailed, codeUnavailable),
		answering("authentik answers a page with status 200", upstreamtest.HTML200, codeInvalid),
		answering("authentik answers half a body", upstreamtest.CutJSON, codeInvalid, codeUnavailable),
		answering("authentik answers 429", upstreamtest.Throttled429, codeRateLimited),
		answering("authentik is starting", upstreamtest.Starting503JSON, codeUnavailable),
	}
	for i := range rows {
		rows[i].maxLatency = upstreamTimeout + 2*time.Second
	}
	return append(rows, hugeFault())
}

// answering is the row of an authentik that answers every request with f.
func answering(name string, f upstreamtest.Fault, codes ...string) fault {
	return fault{
		name:  name,
		begin: func(s *harness) { s.authentik.SetFault(upstreamtest.AllRequests, f) },
		end:   func(s *harness) { s.authentik.ClearFaults() },
		codes: codes,
	}
}

// hugeFault makes the service read some 4 MiB for each miss, which takes all that two cores can do. The
// bound is a little more than the service's own deadline for a response.
func hugeFault() fault {
	f := answering("authentik answers 256 MiB", upstreamtest.Huge(256<<20), codeInvalid, codeTimeout)
	f.maxLatency = upstreamTimeout + 6*time.Second
	return f
}

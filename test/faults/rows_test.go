//go:build linux

package faults

import (
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// The values of extensions.code, as a client knows them.
const (
	codeNotFound    = "NOT_FOUND"
	codeRateLimited = "RATE_LIMITED"
	codeFailed      = "UPSTREAM_ERROR"
	codeUnavailable = "UPSTREAM_UNAVAILABLE"
	codeTimeout     = "GATEWAY_TIMEOUT"
	codeInvalid     = "UPSTREAM_INVALID_RESPONSE"

	codeNotPersisted = "PERSISTED_QUERY_NOT_FOUND"
)

// fault is a row of the table: something that breaks, and is mended.
type fault struct {
	name  string
	begin func(*scene)
	end   func(*scene) // nil if it mends itself
	// codes are the errors that may be answered while it is broken, none if every answer must be
	// data.
	codes []string
	// worst is the longest that an answer may take.
	worst time.Duration
	// mode is how Redis is run, "" if it is one server.
	mode cache.RedisMode
	// proxied puts a proxy between the service and Redis.
	proxied bool
	// logged tells that the service must say something about Redis.
	logged bool
	// fatal ends the service itself: what it had not answered is lost.
	fatal bool
}

// faults are the rows in the order of the table.
func faults() []fault {
	rows := redisFaults()
	rows = append(rows, authentikFaults()...)
	return append(rows, fault{
		name: "the service is killed and started again",
		begin: func(s *scene) {
			cachetest.Eventually(s.t, "some requests run", func() bool { return s.traffic.inFlight() > 2 })
			s.service.kill()
		},
		end:   func(s *scene) { s.service.start() },
		worst: 2 * time.Second,
		fatal: true,
	})
}

// redisFaults cost nobody an answer. The bound of time is far above the 300 ms that a lost Redis
// costs a read, so that a busy machine does not fail the test, and below what a wait without any
// bound would take.
func redisFaults() []fault {
	rows := []fault{
		{
			name:   "Redis is killed and started again, empty",
			begin:  func(s *scene) { s.redis.Kill() },
			end:    func(s *scene) { s.redis.Restart() },
			logged: true,
		},
		{
			name:  "Redis is restarted, empty",
			begin: func(s *scene) { s.redis.Restart() },
		},
		{
			name:   "Redis halts and goes on",
			begin:  func(s *scene) { s.redis.Stop() },
			end:    func(s *scene) { s.redis.Cont() },
			logged: true,
		},
		{
			name:    "Redis takes 200 ms longer for a command",
			begin:   func(s *scene) { s.proxy.slow(200 * time.Millisecond) },
			end:     func(s *scene) { s.proxy.slow(0) },
			proxied: true,
			logged:  true,
		},
		{
			name:   "Redis is full",
			begin:  func(s *scene) { s.admin(redisPassword, "CONFIG", "SET", "maxmemory", "1") },
			end:    func(s *scene) { s.admin(redisPassword, "CONFIG", "SET", "maxmemory", "0") },
			logged: true,
		},
		{
			name:   "Redis has another password",
			begin:  func(s *scene) { s.changePassword(redisPassword, otherPassword) },
			end:    func(s *scene) { s.changePassword(otherPassword, redisPassword) },
			logged: true,
		},
		{
			name:   "Redis is read-only: a replica without its primary",
			begin:  func(s *scene) { s.admin(redisPassword, "REPLICAOF", "127.0.0.1", "1") },
			end:    func(s *scene) { s.admin(redisPassword, "REPLICAOF", "NO", "ONE") },
			logged: true,
		},
		{
			name:   "Redis fails over to its replica",
			mode:   cache.Sentinel,
			begin:  func(s *scene) { s.sentinel.Failover((*cachetest.RedisServer).Kill) },
			logged: true,
		},
		{
			name:   "Redis Cluster loses a master",
			mode:   cache.Cluster,
			begin:  func(s *scene) { s.cluster.KillMaster("a") },
			logged: true,
		},
	}
	for i := range rows {
		rows[i].worst = 2 * time.Second
	}
	return rows
}

// authentikFaults may cost an answer whatever is not in the cache, with the code that fits.
func authentikFaults() []fault {
	rows := []fault{
		{
			name:  "authentik is killed and started again",
			begin: func(s *scene) { s.authentik.kill() },
			end:   func(s *scene) { s.authentik.open() },
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
		rows[i].worst = upstreamTimeout + 2*time.Second
	}
	return append(rows, hugeFault())
}

// answering is the row of an authentik that answers every request in that way.
func answering(name string, f upstreamtest.Fault, codes ...string) fault {
	return fault{
		name:  name,
		begin: func(s *scene) { s.authentik.SetFault(upstreamtest.AllRequests, f) },
		end:   func(s *scene) { s.authentik.ClearFaults() },
		codes: codes,
	}
}

// hugeFault reads some 4 MiB for each miss, which is all that two cores can do: there may not be
// time for it, and the bound is the deadline that the service sets its own answers, and a little.
func hugeFault() fault {
	f := answering("authentik answers 256 MiB", upstreamtest.Huge(256<<20), codeInvalid, codeTimeout)
	f.worst = upstreamTimeout + 6*time.Second
	return f
}

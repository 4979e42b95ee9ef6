package cache

import "sync/atomic"

// Stats are counts since the start.
type Stats struct {
	// Memory and Redis count the reads that were answered from there.
	Memory, Redis ReadStats
	// Loads count the reads that asked the origin, Joined those that waited for the load of another read.
	Loads, Joined int64
	// Untrusted counts the values in Redis that no process with our secret stored under their name.
	Untrusted int64
	// RedisErrors counts the operations that failed or were skipped after failures.
	RedisErrors int64
	// LeaseWaits counts pauses while another process loads, LeasesLost the loads whose lease lapsed because
	// it could not be renewed.
	LeaseWaits, LeasesLost int64
	// RevocationsReceived counts notifications of revocations, those of this process included.
	RevocationsReceived int64
}

// ReadStats count reads by what answered them: a fresh value, a denial, the error of a recent load that
// failed, or a stale value.
type ReadStats struct{ Hits, Denials, Failures, Stale int64 }

// counters count what [Stats] shows.
type counters struct {
	memory, redis                                                       readCounters
	loads, joined                                                       atomic.Int64
	untrusted, redisErrors, leaseWaits, leasesLost, revocationsReceived atomic.Int64
}

type readCounters struct{ hits, denials, failures, stale atomic.Int64 }

func (c *counters) of(s Source) *readCounters {
	if s == FromRedis {
		return &c.redis
	}
	return &c.memory
}

func (c *readCounters) snapshot() ReadStats {
	return ReadStats{c.hits.Load(), c.denials.Load(), c.failures.Load(), c.stale.Load()}
}

func (c *counters) snapshot() Stats {
	return Stats{
		Memory:              c.memory.snapshot(),
		Redis:               c.redis.snapshot(),
		Loads:               c.loads.Load(),
		Joined:              c.joined.Load(),
		Untrusted:           c.untrusted.Load(),
		RedisErrors:         c.redisErrors.Load(),
		LeaseWaits:          c.leaseWaits.Load(),
		LeasesLost:          c.leasesLost.Load(),
		RevocationsReceived: c.revocationsReceived.Load(),
	}
}

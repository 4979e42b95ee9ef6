package cache

import "sync/atomic"

// Stats are counts since the start.
type Stats struct {
	// MemoryHits and RedisHits count the reads answered with a fresh value from there.
	MemoryHits, RedisHits int64
	// NegativeHits count the reads answered with a denial, FailureHits those with the error of a recent load, and
	// Stale those with a stale value, from memory or Redis.
	NegativeHits, FailureHits, Stale int64
	// RedisNegativeHits, RedisFailureHits and RedisStale are the parts of these that came from Redis.
	RedisNegativeHits, RedisFailureHits, RedisStale int64
	// Loads count the reads that asked the origin, Joined those that waited for the load of another read.
	Loads, Joined int64
	// Untrusted counts the values in Redis that no process with our secret stored under their name.
	Untrusted int64
	// RedisErrors counts the operations that failed or that Redis was spared after failures.
	RedisErrors int64
	// LeaseWaits counts pauses while another process loads, LeasesLost loads whose lease lapsed because it could
	// not be renewed.
	LeaseWaits, LeasesLost int64
	// RevocationsReceived counts notifications of revocations, those of this process included.
	RevocationsReceived int64
}

// counters count what [Stats] shows.
type counters struct {
	memory, redis                                                       hitCounters
	loads, joined                                                       atomic.Int64
	untrusted, redisErrors, leaseWaits, leasesLost, revocationsReceived atomic.Int64
}

// hitCounters count the reads that memory or Redis answered.
type hitCounters struct{ hits, negativeHits, failureHits, stale atomic.Int64 }

func (c *counters) of(s Source) *hitCounters {
	if s == FromRedis {
		return &c.redis
	}
	return &c.memory
}

func (c *counters) snapshot() Stats {
	s := Stats{
		MemoryHits:          c.memory.hits.Load(),
		RedisHits:           c.redis.hits.Load(),
		RedisNegativeHits:   c.redis.negativeHits.Load(),
		RedisFailureHits:    c.redis.failureHits.Load(),
		RedisStale:          c.redis.stale.Load(),
		Loads:               c.loads.Load(),
		Joined:              c.joined.Load(),
		Untrusted:           c.untrusted.Load(),
		RedisErrors:         c.redisErrors.Load(),
		LeaseWaits:          c.leaseWaits.Load(),
		LeasesLost:          c.leasesLost.Load(),
		RevocationsReceived: c.revocationsReceived.Load(),
	}
	s.NegativeHits = s.RedisNegativeHits + c.memory.negativeHits.Load()
	s.FailureHits = s.RedisFailureHits + c.memory.failureHits.Load()
	s.Stale = s.RedisStale + c.memory.stale.Load()
	return s
}

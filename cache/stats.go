package cache

import "sync/atomic"

type counters struct {
	memory, redis                                                       levelCounters
	loads, joined                                                       atomic.Int64
	untrusted, redisErrors, leaseWaits, leasesLost, revocationsReceived atomic.Int64
}

// levelCounters are of the reads that a level answers.
type levelCounters struct{ hits, negativeHits, failureHits, stale atomic.Int64 }

func (c *counters) of(level Source) *levelCounters {
	if level == FromRedis {
		return &c.redis
	}
	return &c.memory
}

// Stats are counts since the start.
type Stats struct {
	// MemoryHits and RedisHits are reads answered with a fresh value by a level, NegativeHits those
	// answered with a denial, FailureHits with the error of a load that failed a moment before, Stale
	// with a stale value. Loads are those that asked the origin, Joined those that waited for
	// another's flight.
	MemoryHits, RedisHits, NegativeHits, FailureHits, Stale, Loads, Joined int64
	// RedisNegativeHits, RedisFailureHits and RedisStale are those of NegativeHits, FailureHits and
	// Stale that the Redis answered.
	RedisNegativeHits, RedisFailureHits, RedisStale int64
	// Untrusted are values in the Redis that we did not store under their name.
	Untrusted int64
	// RedisErrors are operations on which the Redis failed or that it was spared.
	RedisErrors int64
	// LeaseWaits are pauses in which another process's load was awaited, LeasesLost loads whose lease
	// lapsed because Redis heard nothing of them for too long.
	LeaseWaits, LeasesLost int64
	// RevocationsHeard are revocations of which a process told, this one included.
	RevocationsReceived int64
}

// Stats returns a copy of the counts.
func (c *Cache[V]) Stats() Stats {
	s := Stats{
		MemoryHits:          c.stats.memory.hits.Load(),
		RedisHits:           c.stats.redis.hits.Load(),
		Loads:               c.stats.loads.Load(),
		Joined:              c.stats.joined.Load(),
		Untrusted:           c.stats.untrusted.Load(),
		RedisErrors:         c.stats.redisErrors.Load(),
		LeaseWaits:          c.stats.leaseWaits.Load(),
		LeasesLost:          c.stats.leasesLost.Load(),
		RevocationsReceived: c.stats.revocationsReceived.Load(),

		RedisNegativeHits: c.stats.redis.negativeHits.Load(),
		RedisFailureHits:  c.stats.redis.failureHits.Load(),
		RedisStale:        c.stats.redis.stale.Load(),
	}
	s.NegativeHits = s.RedisNegativeHits + c.stats.memory.negativeHits.Load()
	s.FailureHits = s.RedisFailureHits + c.stats.memory.failureHits.Load()
	s.Stale = s.RedisStale + c.stats.memory.stale.Load()
	return s
}

package cache

import "sync/atomic"

type counters struct {
	first, second                                                        levelCounters
	loads, joined                                                        atomic.Int64
	untrusted, secondErrors, leaseWaits, leasesLost, revocationsReceived atomic.Int64
}

// levelCounters are of the reads that a level answers.
type levelCounters struct{ hits, negativeHits, failureHits, stale atomic.Int64 }

func (c *counters) of(level Source) *levelCounters {
	if level == SecondLevel {
		return &c.second
	}
	return &c.first
}

// Stats are counts since the start.
type Stats struct {
	// FirstHits and SecondHits are reads answered with a fresh value by a level, NegativeHits those
	// answered with a denial, FailureHits with the error of a load that failed a moment before, Stale
	// with a stale value. Loads are those that asked the origin, Joined those that waited for
	// another's flight.
	FirstHits, SecondHits, NegativeHits, FailureHits, Stale, Loads, Joined int64
	// SecondNegativeHits, SecondFailureHits and SecondStale are those of NegativeHits, FailureHits and
	// Stale that the second level answered.
	SecondNegativeHits, SecondFailureHits, SecondStale int64
	// Untrusted are values in the second level that we did not store under their name.
	Untrusted int64
	// SecondErrors are operations on which the second level failed or that it was spared.
	SecondErrors int64
	// LeaseWaits are pauses in which another process's load was awaited, LeasesLost loads whose lease
	// lapsed because Redis heard nothing of them for too long.
	LeaseWaits, LeasesLost int64
	// RevocationsHeard are revocations of which a process told, this one included.
	RevocationsReceived int64
}

// Stats returns a copy of the counts.
func (c *Cache[V]) Stats() Stats {
	s := Stats{
		FirstHits:           c.stats.first.hits.Load(),
		SecondHits:          c.stats.second.hits.Load(),
		Loads:               c.stats.loads.Load(),
		Joined:              c.stats.joined.Load(),
		Untrusted:           c.stats.untrusted.Load(),
		SecondErrors:        c.stats.secondErrors.Load(),
		LeaseWaits:          c.stats.leaseWaits.Load(),
		LeasesLost:          c.stats.leasesLost.Load(),
		RevocationsReceived: c.stats.revocationsReceived.Load(),

		SecondNegativeHits: c.stats.second.negativeHits.Load(),
		SecondFailureHits:  c.stats.second.failureHits.Load(),
		SecondStale:        c.stats.second.stale.Load(),
	}
	s.NegativeHits = s.SecondNegativeHits + c.stats.first.negativeHits.Load()
	s.FailureHits = s.SecondFailureHits + c.stats.first.failureHits.Load()
	s.Stale = s.SecondStale + c.stats.first.stale.Load()
	return s
}

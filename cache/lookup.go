package cache

import "time"

// lookup is what a read knows about its key so far.
type lookup[V any] struct {
	cache  *Cache[V]
	key    Key
	policy Policy

	// entry is the value or denial, if found.
	entry  Encoded
	value  V
	found  bool
	source Source
	// failure is the outcome of a recent load that failed, if hasFailure.
	failure       Encoded
	hasFailure    bool
	failureSource Source

	// current reports that no revocation can have been missed. Otherwise only a fresh value may be used, and
	// only if Redis cannot be asked.
	current bool
	// asked is when Redis was last asked.
	asked time.Time
}

// newLookup looks into memory.
func newLookup[V any](c *Cache[V], key Key) lookup[V] {
	k := lookup[V]{cache: c, key: key, policy: c.policyOf(key), source: FromMemory, failureSource: FromMemory}
	k.entry, k.value, k.found = c.readMemory(key)
	if !k.fresh() {
		k.failure, k.hasFailure = c.memory.Get(key.ofFailure())
	}
	switch {
	case k.found:
		k.current = c.inSync(k.entry.subscription)
	case k.hasFailure:
		k.current = c.inSync(k.failure.subscription)
	default:
		k.current = c.redis == nil
	}
	return k
}

// merge adds what Redis has, and keeps it in memory. It returns the number of values that cannot be trusted.
func (k *lookup[V]) merge(view View, subscription int64) (untrusted int) {
	k.current = true // until Redis is asked again
	if view.HasFailure && (!k.hasFailure || !preferLocal(k.failure, view.Failure)) {
		k.failure, k.hasFailure, k.failureSource = view.Failure, true, FromRedis
		k.failure.subscription = subscription
		k.cache.store(k.key, &k.failure)
	}
	stands := view.Entry.Outcome == Refused && k.fresh()
	if view.Found && !stands && (!k.found || !preferLocal(k.entry, view.Entry)) {
		if value, err := k.cache.decode(view.Entry); err == nil {
			k.entry, k.value, k.found, k.source = view.Entry, value, true, FromRedis
		} else {
			view.Untrusted++
		}
	}
	if k.found && k.entry.subscription != subscription {
		k.entry.subscription = subscription
		k.cache.store(k.key, &k.entry)
	}
	return view.Untrusted
}

// answer returns the result of the read, if what is known answers it without a load.
func (k *lookup[V]) answer() (r Result[V], done bool, err error) {
	stats := &k.cache.stats
	switch {
	case k.fresh() && k.entry.Outcome != Value:
		count := &stats.of(k.source).denials
		if k.entry.Outcome == Refused {
			count = &stats.of(k.source).failures
		}
		count.Add(1)
		r.Source, r.Outcome = k.source, k.entry.Outcome
		return r, true, k.entry.Err
	case k.fresh():
		stats.of(k.source).hits.Add(1)
		return k.result(), true, nil
	case !k.failed():
		return r, false, nil
	case k.mayBeStale(k.policy.StaleWhileRevalidate):
		return k.stale(StaleWhileRevalidate, nil), true, nil
	case k.failure.Outcome == Unavailable && k.mayBeStale(k.policy.StaleIfError):
		return k.stale(StaleIfError, k.failure.Err), true, nil
	}
	stats.of(k.failureSource).failures.Add(1)
	r.Source = k.failureSource
	return r, true, k.failure.Err
}

// fresh reports whether the entry is fresh.
func (k *lookup[V]) fresh() bool { return k.found && fresh(k.policy, k.entry, k.cache.now()) }

// failed reports whether a load failed so recently that the key is not loaded again yet.
func (k *lookup[V]) failed() bool {
	return k.hasFailure && fresh(k.policy, k.failure, k.cache.now())
}

// mayBeStale reports whether the value may be used although it is not fresh.
func (k *lookup[V]) mayBeStale(window time.Duration) bool {
	return k.current && k.found && staleFor(k.policy, k.entry, window, k.cache.now())
}

func (k *lookup[V]) stale(why Staleness, cause error) Result[V] {
	k.cache.stats.of(k.source).stale.Add(1)
	r := k.result()
	r.Stale, r.Cause = why, cause
	return r
}

func (k *lookup[V]) result() Result[V] {
	return Result[V]{
		Entry:      withValue(k.entry, k.value),
		Source:     k.source,
		FreshUntil: freshUntil(k.policy, k.entry),
		asked:      k.asked,
	}
}

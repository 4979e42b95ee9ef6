package cache

import (
	"context"
	"time"
)

// Mark names an entry as a read gave it out: who keeps something that was made of the entry can ask
// whether a read would give the same again, [Cache.Valid].
type Dependency struct {
	key    Key
	stored int64 // which of all entries that this process has stored; 0 for none
	// revocations is how many this process knew when the read began.
	revocations int64
}

// Mark returns the mark of a result that [Cache.Get] gave.
func (r Result[V]) Dependency() Dependency { return r.dependency }

// Valid tells whether a read would now give what the mark names once more, fresh, out of this process:
// it is still there, it is still fresh, nothing else has taken its place, its row is not revoked, and
// no revocation can have gone unheard. A list does not stand after any revocation, nor if it is of before
// one that was not heard of.
func (c *Cache[V]) Valid(m Dependency, now time.Time) bool {
	e, found := c.memory.look(context.Background(), m.key)
	if !found || e.Outcome != Value || e.stored != m.stored || !fresh(c.policy, e, now) || !c.inSync(e.subscription) {
		return false
	}
	if m.key.isList() {
		known, _ := c.listVersions.get(m.key.id.resource)
		return c.tombstones.count() == m.revocations && m.key.hasListVersion(known.name) && c.inSync(known.subscription)
	}
	return !c.tombstones.has(func() ResourceHash { return e.hash })
}

// hears tells whether what was learned in an subscription may be used without asking the Redis.
func (c *Cache[V]) inSync(subscription int64) bool {
	return c.redis == nil || c.redis.InSync(subscription)
}

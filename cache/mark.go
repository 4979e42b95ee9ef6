package cache

import (
	"context"
	"time"
)

// Mark names an entry as a read gave it out: who keeps something that was made of the entry can ask
// whether a read would give the same again, [Cache.Stands].
type Mark struct {
	key    Key
	stored int64 // which of all entries that this process has stored; 0 for none
	// burials is how many this process knew when the read began.
	burials int64
}

// Mark returns the mark of a result that [Cache.Get] gave.
func (r Result[V]) Mark() Mark { return r.mark }

// Stands tells whether a read would now give what the mark names once more, fresh, out of this process:
// it is still there, it is still fresh, nothing else has taken its place, its row is not revoked, and
// no revocation can have gone unheard. A list does not stand after any revocation.
func (c *Cache[V]) Stands(m Mark, now time.Time) bool {
	e, found, _ := c.first.Get(context.Background(), m.key) // memory does not fail
	if !found || e.Verdict != Given || e.stored != m.stored || !fresh(c.policy, e, now) || !c.hears(e.epoch) {
		return false
	}
	if m.key.isList() {
		return c.graves.count() == m.burials
	}
	return !c.graves.has(func() Tag { return e.tag })
}

// hears tells whether what was learned in an epoch may be used without asking the second level.
func (c *Cache[V]) hears(epoch int64) bool { return c.second == nil || c.second.Hears(epoch) }

package cache

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// RedisStatus is what this process knows of its Redis at one moment, without asking it.
type RedisStatus struct {
	// Breaker is closed while Redis is used, open while it is left alone, and half-open from the first
	// operation that tries it again.
	Breaker string
	// InSync tells that this process is told of each revocation.
	InSync bool
	// Stores is false from when Redis refused to store, because it is full or a replica, until it
	// stores again.
	Writable bool
	// Untold are the revocations that could not be told to Redis yet.
	PendingRevocations int
	// Leases are those that were taken since the start.
	Leases int64
	// UntrustedTexts are the texts, since the start, that we did not store under their name. [Stats]
	// has the values.
	UntrustedTexts int64
}

// Status returns the present status.
func (r *Redis[V]) Status() RedisStatus {
	return RedisStatus{
		Breaker:            r.breaker.State().String(),
		InSync:             r.InSync(r.Subscription()),
		Writable:           !r.refusing.Load(),
		PendingRevocations: r.pendingRevocations(),
		Leases:             r.leases.Load(),
		UntrustedTexts:     r.untrustedTexts.Load(),
	}
}

// Check reads a name from Redis, unless that is left alone. A PING would be answered by any node of a
// cluster that is down, and by a server on which the user may read nothing.
func (r *Redis[V]) Check(ctx context.Context) error {
	return r.ask(ctx, opCheck, func(ctx context.Context) error {
		err := r.client.Get(ctx, r.prefix+"check").Err()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
}

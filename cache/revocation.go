package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"time"
)

// revocations writes tombstones to Redis and notifies other processes. What Redis did not take it writes
// later.
type revocations struct {
	*connection
	keys            *Keys
	prefix, channel string

	mu sync.Mutex
	// pending are the revocations that Redis did not take yet, and until when their tombstones are of use.
	pending map[ResourceID]time.Time
}

// errPendingRevocation is returned for the version of lists that may show what a pending revocation is about.
var errPendingRevocation = errors.New("cache: a revocation has not reached Redis yet")

func (r *revocations) revoke(ctx context.Context, id ResourceID, ttl time.Duration) error {
	err := r.write(ctx, id, ttl)
	if err != nil {
		now := time.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		maps.DeleteFunc(r.pending, func(_ ResourceID, until time.Time) bool { return now.After(until) })
		r.pending[id] = now.Add(ttl)
	}
	return err
}

// write writes the tombstone first, so that a process which is notified finds it.
func (r *revocations) write(ctx context.Context, id ResourceID, ttl time.Duration) error {
	names := r.keys.redisKeys(r.prefix, Key{id: id})
	return r.do(ctx, opRevoke, func(ctx context.Context) error {
		if err := r.client.Set(ctx, names.tombstone, names.mac, ttl).Err(); err != nil {
			return err
		}
		if err := r.client.Set(ctx, r.keys.listVersionKey(r.prefix, id.resource), rand.Text(), listVersionTTL).Err(); err != nil {
			return err
		}
		return publishScript.Run(ctx, r.client, []string{r.channel}, r.keys.notification(r.keys.ResourceHash(id))).Err()
	})
}

// retry writes pending revocations until one fails again.
func (r *revocations) retry(ctx context.Context) {
	r.mu.Lock()
	pending := maps.Clone(r.pending)
	r.mu.Unlock()
	for id, until := range pending {
		if ttl := time.Until(until); ttl > 0 && (ctx.Err() != nil || r.write(ctx, id, ttl) != nil) {
			return
		}
		r.mu.Lock()
		delete(r.pending, id)
		r.mu.Unlock()
	}
}

func (r *revocations) pendingCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending)
}

// listVersion reads the version of a resource's lists. With a pending revocation it is an error: Redis may
// still have the version from before it.
func (r *revocations) listVersion(ctx context.Context, resource string) (version string, err error) {
	if r.isPending(resource) {
		return "", errPendingRevocation
	}
	err = r.do(ctx, opListVersion, func(ctx context.Context) (err error) {
		version, err = listVersionScript.Run(ctx, r.client, []string{r.keys.listVersionKey(r.prefix, resource)},
			rand.Text(), listVersionTTL.Milliseconds()).Text()
		return err
	})
	return version, err
}

func (r *revocations) isPending(resource string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.pending {
		if id.resource == resource {
			return true
		}
	}
	return false
}

package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/internal/telemetry/spans"
)

const (
	// leaseTTL is how long a lease lasts that is not renewed: what a process that dies costs the others.
	leaseTTL = 2 * time.Second
	// listVersionTTL is how long a list version is kept. The next one starts with no lists.
	listVersionTTL = time.Hour
)

// StoreOptions are the options of a [Redis].
type StoreOptions struct {
	// Prefix begins every name.
	Prefix string
	// Errors is the codec of the origin's errors.
	Errors ErrorCodec
	// Logger gets one message when Redis cannot be used any more, and one when it can again.
	Logger *slog.Logger
	// Observe is called after each operation; nil for none.
	Observe func(op Operation, took time.Duration, err error)
	// Spans makes the spans of operations; nil makes none.
	Spans *spans.Tracer
}

// Redis is a [Shared] store for the processes that have the same secret. Values are sealed, names are hashes,
// and each has an expiry.
type Redis struct {
	*connection
	keys   *Keys
	prefix string
	errors ErrorCodec

	subscription subscription
	revocations  revocations
	stop         context.CancelFunc // of the background work; nil before Listen
	background   sync.WaitGroup

	// leases counts acquired leases, untrustedTexts the texts that no process with the secret sealed.
	leases, untrustedTexts atomic.Int64
}

var _ Shared = (*Redis)(nil)

// NewRedis makes a store on a client made by [NewRedisClient].
func NewRedis(client redis.UniversalClient, keys *Keys, o StoreOptions) *Redis {
	c, channel := newConnection(client, o), o.Prefix+"revocations"
	return &Redis{
		connection:   c,
		keys:         keys,
		prefix:       o.Prefix,
		errors:       o.Errors,
		subscription: subscription{connection: c, channel: channel, keys: keys, start: time.Now()},
		revocations:  revocations{connection: c, channel: channel, keys: keys, prefix: o.Prefix, pending: map[ResourceID]time.Time{}},
	}
}

// errReply is returned if Redis, or what poses as it, does not reply as Redis does.
var errReply = errors.New("cache: Redis returned fewer values than were asked for")

// Read implements [Shared] by one MGET, for which a value of another type is missing.
func (r *Redis) Read(ctx context.Context, key Key) (View, error) {
	names := r.keys.redisKeys(r.prefix, key)
	var values []any
	err := r.do(ctx, opRead, func(ctx context.Context) (err error) {
		values, err = r.client.MGet(ctx, names.entry, names.failure, names.tombstone).Result()
		return err
	})
	if err != nil {
		return View{}, err
	}
	return r.view(key, names, values)
}

// Acquire implements [Shared]. A Redis that does not store is still read, if that may be enough.
func (r *Redis) Acquire(ctx context.Context, key Key, token string, onlyIfMissing bool) (View, error) {
	names := r.keys.redisKeys(r.prefix, key)
	var values []any
	err := r.do(ctx, opAcquire, func(ctx context.Context) (err error) {
		values, err = acquireScript.Run(ctx, r.client, names.all(), token, leaseTTL.Milliseconds(), names.mac, onlyIfMissing).Slice()
		return err
	})
	if err != nil && onlyIfMissing && refuses(err) {
		return r.Read(ctx, key)
	}
	if err != nil {
		return View{}, err
	}
	v, err := r.view(key, names, values)
	if v.Acquired = len(values) == 4 && values[3] == int64(1); v.Acquired {
		r.leases.Add(1)
		r.noteStored()
	}
	return v, err
}

// view decodes what Redis has under a key's names: entry, failure and tombstone.
func (r *Redis) view(key Key, names redisKeys, values []any) (v View, err error) {
	if len(values) < 3 {
		return v, errReply
	}
	if tombstone, ok := values[2].(string); ok {
		if v.Revoked = tombstone == names.mac; v.Revoked {
			return v, nil
		}
		v.Untrusted++
	}
	open := func(value any, name string, failure bool) (e Encoded, found bool) {
		sealed, ok := value.(string)
		if !ok {
			return e, false
		}
		plain, err := r.keys.open(key.caller, name, sealed)
		if err == nil {
			e, err = decodeEntry(r.errors, plain)
		}
		if err != nil || e.Outcome.fails() != failure {
			v.Untrusted++
			return Encoded{}, false
		}
		return e, true
	}
	v.Entry, v.Found = open(values[0], names.entry, false)
	v.Failure, v.HasFailure = open(values[1], names.failure, true)
	return v, nil
}

// Renew implements [Shared].
func (r *Redis) Renew(ctx context.Context, key Key, token string) (acquired bool, err error) {
	names := r.keys.redisKeys(r.prefix, key)
	err = r.do(ctx, opRenew, func(ctx context.Context) (err error) {
		acquired, err = renewScript.Run(ctx, r.client, []string{names.lease}, token, leaseTTL.Milliseconds()).Bool()
		return err
	})
	return acquired, err
}

// Commit implements [Shared]. It does not keep an outcome that cannot be encoded.
func (r *Redis) Commit(ctx context.Context, key Key, token string, e Encoded, ttl time.Duration) (revoked bool, err error) {
	names := r.keys.redisKeys(r.prefix, key)
	args := []any{token, names.mac, "", 0, "", 0, e.denies()}
	at, name := 2, names.entry
	if e.Outcome.fails() {
		at, name = 4, names.failure
	}
	if ttl >= time.Millisecond { // Redis knows no shorter one
		if plain, err := encodeEntry(r.errors, e); err == nil {
			args[at], args[at+1] = r.keys.seal(key.caller, name, plain), ttl.Milliseconds()
		}
	}
	err = r.do(ctx, opCommit, func(ctx context.Context) (err error) {
		revoked, err = commitScript.Run(ctx, r.client, names.all(), args...).Bool()
		return err
	})
	return revoked, err
}

// Delete implements [Shared].
func (r *Redis) Delete(ctx context.Context, key Key) error {
	names := r.keys.redisKeys(r.prefix, key)
	return r.do(ctx, opDelete, func(ctx context.Context) error {
		return r.client.Del(ctx, names.entry).Err()
	})
}

// ListVersion implements [Shared].
func (r *Redis) ListVersion(ctx context.Context, resource string) (string, error) {
	return r.revocations.listVersion(ctx, resource)
}

// Revoke implements [Shared]. A tombstone that could not be written is written when Redis can be used again.
func (r *Redis) Revoke(ctx context.Context, id ResourceID, ttl time.Duration) error {
	return r.revocations.revoke(ctx, id, ttl)
}

// ResourceHash implements [Shared].
func (r *Redis) ResourceHash(id ResourceID) ResourceHash { return r.keys.ResourceHash(id) }

// Listen implements [Shared].
func (r *Redis) Listen(notify func(ResourceHash)) {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.subscription.notify = cancel, notify
	r.background.Go(func() { r.subscription.run(ctx) })
	r.background.Go(func() {
		for sleep(ctx, pingInterval) == nil {
			r.revocations.retry(ctx)
		}
	})
}

// Subscription implements [Shared].
func (r *Redis) Subscription() int64 { return r.subscription.generation.Load() }

// InSync implements [Shared].
func (r *Redis) InSync(subscription int64) bool { return r.subscription.inSync(subscription) }

// Close writes pending revocations once more and closes the client.
func (r *Redis) Close() error {
	if r.stop != nil {
		r.stop()
		r.background.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if r.revocations.retry(ctx); r.revocations.pendingCount() > 0 {
		r.log.Warn("revocations did not reach other processes, which may return revoked values until they are no longer fresh")
	}
	return r.client.Close()
}

// RedisStatus is what this process knows about its Redis, without asking it.
type RedisStatus struct {
	// Breaker is closed while Redis is used, open while operations are skipped, and half-open while it is
	// tried again.
	Breaker string
	// InSync reports that this process is notified of revocations.
	InSync bool
	// Writable is false from when Redis refuses to store, because it is full or a replica, until it stores
	// again.
	Writable bool
	// PendingRevocations counts the revocations that Redis did not take yet.
	PendingRevocations int
	// Leases counts the leases acquired since the start.
	Leases int64
	// UntrustedTexts counts the texts, since the start, that no process with our secret stored under their
	// name.
	UntrustedTexts int64
}

// Status returns the present status.
func (r *Redis) Status() RedisStatus {
	return RedisStatus{
		Breaker:            r.breaker.State().String(),
		InSync:             r.InSync(r.Subscription()),
		Writable:           !r.readOnly.Load(),
		PendingRevocations: r.revocations.pendingCount(),
		Leases:             r.leases.Load(),
		UntrustedTexts:     r.untrustedTexts.Load(),
	}
}

// Check reads from Redis, unless the breaker is open. A PING would be answered by a node of a cluster that is
// down, and to a user who may read nothing.
func (r *Redis) Check(ctx context.Context) error {
	return r.do(ctx, opCheck, func(ctx context.Context) error {
		err := r.client.Get(ctx, r.prefix+"check").Err()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
}

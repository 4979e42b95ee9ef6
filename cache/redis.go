package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/redis/go-redis/v9"

	"authentik-graphql/internal/telemetry/spans"
)

const (
	// redisTimeout bounds each wait of one operation: for a connection, for the answer.
	redisTimeout = 150 * time.Millisecond
	// operationTimeout bounds a whole operation.
	operationTimeout = 2 * redisTimeout
	// restAfter is how many operations in a row must fail for Redis to be left alone for restFor.
	restAfter = 5
	restFor   = time.Second
)

// StoreOptions of a [Redis].
type StoreOptions struct {
	// Prefix begins every name.
	Prefix string
	// Logger is told once when Redis cannot be used any more, and once when it can.
	Logger *slog.Logger
	// Observe is told of each operation that Redis was asked for, how long it took and its error; nil
	// tells nobody.
	Observe func(op Operation, took time.Duration, err error)
	// Spans makes the spans of operations; nil makes none.
	Spans *spans.Tracer
}

// Redis is a [Shared] store of the processes with the same secret. Values are sealed, names are
// hashes, and every name has a time to live. While Redis fails again and again it is left alone for
// a second at a time, so that nobody waits for it.
type Redis[V any] struct {
	client  redis.UniversalClient
	keys    *Keys
	codec   Codec[V]
	prefix  string
	buffers buffers
	log     *slog.Logger
	observe func(op Operation, took time.Duration, err error)
	spans   *spans.Tracer
	breaker circuitbreaker.CircuitBreaker[any]
	// refusing tells that Redis reads but does not write: full, or a replica.
	refusing     atomic.Bool
	subscription subscription
	// leases were taken, and untrustedTexts found, since the start.
	leases, untrustedTexts atomic.Int64

	// failure is the last that counts against Redis.
	failure atomic.Pointer[error]

	mu sync.Mutex
	// pending are rows whose tombstone could not be written yet, until when it is of use.
	pending map[ResourceID]time.Time
}

var _ Shared[int] = (*Redis[int])(nil)

// NewRedis makes a store on a client made by [NewRedisClient].
func NewRedis[V any](client redis.UniversalClient, keys *Keys, codec Codec[V], o StoreOptions) *Redis[V] {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Observe == nil {
		o.Observe = func(Operation, time.Duration, error) {}
	}
	r := &Redis[V]{client: client, keys: keys, codec: codec, prefix: o.Prefix, log: o.Logger, observe: o.Observe, spans: o.Spans, pending: map[ResourceID]time.Time{}}
	r.subscription.start = time.Now()
	r.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(restAfter).
		WithSuccessThreshold(1).
		WithDelay(restFor).
		OnOpen(func(e circuitbreaker.StateChangedEvent) {
			if e.OldState == circuitbreaker.ClosedState { // not again for each probe that fails
				r.log.Warn("Redis cannot be used; answers come from memory and authentik", "error", *r.failure.Load())
			}
		}).
		OnClose(func(circuitbreaker.StateChangedEvent) { r.log.Info("Redis can be used again") }).
		Build()
	return r
}

// errResting says that Redis failed a moment ago and is not asked.
var errResting = errors.New("cache: Redis is left alone for a moment")

// ask runs one operation. It is not ended with the request that wants it: an operation that is cut
// costs its connection, and a caller that leaves says nothing about Redis.
func (r *Redis[V]) ask(ctx context.Context, op Operation, run func(context.Context) error) error {
	if !r.breaker.TryAcquirePermit() {
		return errResting
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), operationTimeout)
	defer cancel()
	span := r.operationSpan(ctx, op)
	began := time.Now()
	err := run(ctx)
	r.observe(op, time.Since(began), err)
	endOperation(span, err)
	switch {
	case err == nil:
		r.breaker.RecordSuccess()
		return nil
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted): // our own crowd
		r.breaker.RecordSuccess()
	case refuses(err):
		r.breaker.RecordSuccess()
		if r.refusing.CompareAndSwap(false, true) {
			r.log.Warn("Redis does not store; loads are not shared between processes", "error", err)
		}
	default:
		r.failure.Store(&err)
		r.breaker.RecordFailure()
	}
	return fmt.Errorf("cache: %s: %w", operations[op].action, err)
}

// stored notes that Redis took a value. What only deletes or renews works on a full one as well.
func (r *Redis[V]) stored() {
	if r.refusing.Load() && r.refusing.CompareAndSwap(true, false) {
		r.log.Info("Redis stores again")
	}
}

// refuses tells that Redis answers and only does not do this: it is full, or a replica.
func refuses(err error) bool {
	for _, prefix := range []string{"OOM", "READONLY", "MISCONF", "NOREPLICAS", "NOPERM"} {
		// Before release 7 an error within a script is told as one of the script. Its ERR is passed over.
		if redis.HasErrorPrefix(err, prefix) || redis.HasErrorPrefix(err, "Error running script") && strings.Contains(err.Error(), "-"+prefix+" ") {
			return true
		}
	}
	return false
}

// Read implements [Shared] by one MGET, to which a value of another type is none.
func (r *Redis[V]) Read(ctx context.Context, key Key) (View[V], error) {
	n := r.keys.redisKeys(r.prefix, key)
	var values []any
	err := r.ask(ctx, opRead, func(ctx context.Context) (err error) {
		values, err = r.client.MGet(ctx, n.entry, n.failure, n.tombstone).Result()
		return err
	})
	if err != nil {
		return View[V]{}, err
	}
	if len(values) != 3 {
		return View[V]{}, errReply
	}
	return r.view(key, n, values), nil
}

// errReply says that Redis, or what stands for it, does not speak as Redis does.
var errReply = errors.New("cache: Redis gives another number of values than were asked for")

// ResourceHash implements [Shared].
func (r *Redis[V]) ResourceHash(row ResourceID) ResourceHash { return r.keys.ResourceHash(row) }

// view reads what Redis has under a key's names: entry, failure, tombstone.
func (r *Redis[V]) view(key Key, n redisKeys, values []any) (v View[V]) {
	if proof, ok := values[2].(string); ok {
		if v.Revoked = proof == n.mac; v.Revoked {
			return v
		}
		v.Untrusted++
	}
	open := func(value any, name string, right func(Outcome) bool) (e Entry[V], found bool) {
		sealed, ok := value.(string)
		if !ok {
			return e, false
		}
		b := r.buffers.get()
		defer r.buffers.put(b)
		plain, err := r.keys.appendOpened(b.plain[:0], key.caller, name, sealed)
		if err == nil {
			b.plain = plain
			e, err = decodeEntry(r.codec, plain)
		}
		if err != nil || !right(e.Outcome) {
			v.Untrusted++
			return Entry[V]{}, false
		}
		return e, true
	}
	v.Entry, v.Found = open(values[0], n.entry, func(v Outcome) bool { return v == Value || v.denies() })
	v.Failure, v.HasFailure = open(values[1], n.failure, func(v Outcome) bool { return v == Unavailable || v == Error })
	return v
}

// Get implements [Store].
func (r *Redis[V]) Get(ctx context.Context, key Key) (Entry[V], bool, error) {
	v, err := r.Read(ctx, key)
	switch {
	case err != nil:
		return Entry[V]{}, false, err
	case v.Revoked:
		return Entry[V]{}, false, nil
	case !v.Found && v.Untrusted > 0:
		return Entry[V]{}, false, errUntrusted
	}
	return v.Entry, v.Found, nil
}

// Set implements [Store]. Nothing is kept of a row that is revoked.
func (r *Redis[V]) Set(ctx context.Context, key Key, e Entry[V], ttl time.Duration) error {
	if ttl < time.Millisecond { // Redis knows no shorter one
		return nil
	}
	_, err := r.Commit(ctx, key, "", e, ttl)
	return err
}

// Delete implements [Store].
func (r *Redis[V]) Delete(ctx context.Context, key Key) error {
	n := r.keys.redisKeys(r.prefix, key)
	return r.ask(ctx, opDelete, func(ctx context.Context) error {
		return r.client.Del(ctx, n.entry).Err()
	})
}

// Close ends listening and closes the client's connections.
func (r *Redis[V]) Close() error {
	r.subscription.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if r.writePending(ctx); r.pendingRevocations() > 0 {
		r.log.Warn("revocations could not be told to other processes, which may show what was revoked until it is not fresh any more")
	}
	return r.client.Close()
}

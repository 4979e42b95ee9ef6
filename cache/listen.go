package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pingInterval is how often a subscription is asked whether it still lives.
	pingInterval = 500 * time.Millisecond
	// syncTimeout is how long ago the last answered ping may have been sent.
	syncTimeout = 2 * time.Second
)

// subscription hears of rows that other processes revoke.
type subscription struct {
	// generation counts subscriptions: a message may have been missed between two of them.
	generation atomic.Int64
	// confirmed is when the last ping that was answered was sent, in nanoseconds since start; 0 while
	// there is no subscription.
	confirmed atomic.Int64
	start     time.Time
	stop      context.CancelFunc
	done      sync.WaitGroup

	mu     sync.Mutex
	notify []func(ResourceHash)
}

func (e *subscription) deliver(t ResourceHash) {
	e.mu.Lock()
	told := e.notify
	e.mu.Unlock()
	for _, tell := range told {
		tell(t)
	}
}

func (e *subscription) since() int64 { return max(int64(time.Since(e.start)), 1) }

func (e *subscription) close() {
	e.mu.Lock()
	stop := e.stop
	e.mu.Unlock()
	if stop != nil {
		stop()
		e.done.Wait()
	}
}

// Subscription implements [Shared].
func (r *Redis[V]) Subscription() int64 { return r.subscription.generation.Load() }

// InSync implements [Shared].
func (r *Redis[V]) InSync(subscription int64) bool {
	heard := r.subscription.confirmed.Load()
	return heard > 0 && subscription > 0 && subscription == r.subscription.generation.Load() && r.subscription.since()-heard < int64(syncTimeout)
}

// Listen implements [Shared]. It ends with [Redis.Close].
func (r *Redis[V]) Listen(told func(ResourceHash)) {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.subscription.notify = append(r.subscription.notify, told)
	if r.subscription.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.subscription.stop = cancel
	r.subscription.done.Go(func() {
		for sleep(ctx, pingInterval) == nil {
			r.writePending(ctx)
		}
	})
	r.subscription.done.Go(func() {
		lost := false
		for ctx.Err() == nil {
			err := r.receive(ctx, func() {
				if lost {
					r.log.Info("Redis tells of revocations again")
				}
				lost = false
			})
			r.subscription.confirmed.Store(0)
			if !lost && ctx.Err() == nil {
				lost = true
				r.log.Warn("Redis does not tell of revocations; each read asks it until it does", "error", err)
			}
			_ = sleep(ctx, pingInterval)
		}
	})
}

// receive listens until the connection fails, a ping is not answered in time, or ctx ends. A
// read that failed ends it, time-outs too: go-redis would lose a message whose end comes later.
func (r *Redis[V]) receive(ctx context.Context, begun func()) error {
	ps := r.client.Subscribe(ctx, r.channel())
	ctx, cancel := context.WithCancel(ctx)
	var pinger sync.WaitGroup
	defer func() {
		cancel()
		_ = ps.Close()
		pinger.Wait()
	}()
	context.AfterFunc(ctx, func() { _ = ps.Close() }) // a read does not watch ctx
	opened := r.subscription.since()
	pinger.Go(func() {
		defer cancel()
		for {
			if ps.Ping(ctx, strconv.FormatInt(r.subscription.since(), 10)) != nil || sleep(ctx, pingInterval) != nil {
				return
			}
		}
	})
	for {
		message, err := ps.ReceiveTimeout(ctx, syncTimeout)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *redis.Subscription:
			r.subscription.generation.Add(1)
			r.subscription.confirmed.Store(opened)
			begun()
		case *redis.Pong:
			if sent, err := strconv.ParseInt(m.Payload, 10, 64); err == nil {
				r.subscription.confirmed.Store(sent)
			}
		case *redis.Message:
			if t, ok := r.keys.readMessage(m.Payload); ok {
				r.subscription.deliver(t)
			}
		}
	}
}

// publish runs where the channel's name belongs in a cluster, which is where its subscribers are:
// from another node the message would go over the cluster's bus, which may lose it.
//
// KEYS channel; ARGV message.
var publish = redis.NewScript(`return redis.call('PUBLISH', KEYS[1], ARGV[1])`)

func (r *Redis[V]) channel() string { return r.prefix + "revocations" }

// Revoke implements [Shared]: first the tombstone, then the message, so that who hears of it finds it.
// A tombstone that cannot be written is written when Redis can be again.
func (r *Redis[V]) Revoke(ctx context.Context, row ResourceID, ttl time.Duration) error {
	err := r.writeTombstone(ctx, row, ttl)
	if err != nil {
		now := time.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		maps.DeleteFunc(r.pending, func(_ ResourceID, until time.Time) bool { return now.After(until) })
		r.pending[row] = now.Add(ttl)
	}
	return err
}

func (r *Redis[V]) writeTombstone(ctx context.Context, row ResourceID, ttl time.Duration) error {
	n := r.keys.redisKeys(r.prefix, Key{id: row})
	return r.ask(ctx, opRevoke, func(ctx context.Context) error {
		if err := r.client.Set(ctx, n.tombstone, n.mac, ttl).Err(); err != nil {
			return err
		}
		if err := r.client.Set(ctx, r.keys.listVersionName(r.prefix, row.resource), rand.Text(), listVersionTTL).Err(); err != nil {
			return err
		}
		return publish.Run(ctx, r.client, []string{r.channel()}, r.keys.message(r.keys.ResourceHash(row))).Err()
	})
}

// listVersionTTL is how long a version is kept. One that is gone is followed by another, under
// which no list is known yet.
const listVersionTTL = time.Hour

// readListVersion returns the version, or begins the one that is offered.
//
// KEYS version; ARGV a new one, its time to live in ms.
var readListVersion = redis.NewScript(luaGet + `
local current = get(KEYS[1])
if current and current ~= '' then
	return current
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`)

// errPendingRevocation says that a revocation could not be told yet, so that lists of before it may be there.
var errPendingRevocation = errors.New("cache: a revocation has not reached Redis yet")

// ListVersion implements [Shared].
func (r *Redis[V]) ListVersion(ctx context.Context, resource string) (version string, err error) {
	r.mu.Lock()
	for row := range r.pending {
		if row.resource == resource {
			err = errPendingRevocation
		}
	}
	r.mu.Unlock()
	if err != nil {
		return "", err
	}
	err = r.ask(ctx, opListVersion, func(ctx context.Context) (err error) {
		version, err = readListVersion.Run(ctx, r.client, []string{r.keys.listVersionName(r.prefix, resource)},
			rand.Text(), listVersionTTL.Milliseconds()).Text()
		return err
	})
	return version, err
}

func (r *Redis[V]) pendingRevocations() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending)
}

// writePending writes the tombstones that could not be written before, until one cannot be again.
func (r *Redis[V]) writePending(ctx context.Context) {
	r.mu.Lock()
	late := maps.Clone(r.pending)
	r.mu.Unlock()
	for row, until := range late {
		if ttl := time.Until(until); ttl > 0 && (ctx.Err() != nil || r.writeTombstone(ctx, row, ttl) != nil) {
			return
		}
		r.mu.Lock()
		delete(r.pending, row)
		r.mu.Unlock()
	}
}

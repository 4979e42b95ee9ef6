package cache

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pingEvery is how often a subscription is asked whether it still lives.
	pingEvery = 500 * time.Millisecond
	// deafAfter is how long ago the last answered ping may have been sent.
	deafAfter = 2 * time.Second
)

// ears hear of rows that other processes bury.
type ears struct {
	// epoch counts subscriptions: a message may have been missed between two of them.
	epoch atomic.Int64
	// heard is when the last ping that was answered was sent, in nanoseconds since start; 0 while
	// there is no subscription.
	heard atomic.Int64
	start time.Time
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu   sync.Mutex
	told []func(Tag)
}

func (e *ears) tell(t Tag) {
	e.mu.Lock()
	told := e.told
	e.mu.Unlock()
	for _, tell := range told {
		tell(t)
	}
}

func (e *ears) since() int64 { return max(int64(time.Since(e.start)), 1) }

func (e *ears) close() {
	e.mu.Lock()
	stop := e.stop
	e.mu.Unlock()
	if stop != nil {
		stop()
		e.ended.Wait()
	}
}

// Epoch implements [Shared].
func (r *Redis[V]) Epoch() int64 { return r.ears.epoch.Load() }

// Hears implements [Shared].
func (r *Redis[V]) Hears(epoch int64) bool {
	heard := r.ears.heard.Load()
	return heard > 0 && epoch > 0 && epoch == r.ears.epoch.Load() && r.ears.since()-heard < int64(deafAfter)
}

// Listen implements [Shared]. It ends with [Redis.Close].
func (r *Redis[V]) Listen(told func(Tag)) {
	r.ears.mu.Lock()
	defer r.ears.mu.Unlock()
	r.ears.told = append(r.ears.told, told)
	if r.ears.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.ears.stop = cancel
	r.ears.ended.Go(func() {
		lost := false
		for ctx.Err() == nil {
			err := r.subscription(ctx, func() {
				if lost {
					r.log.Info("Redis tells of revocations again")
				}
				lost = false
			})
			r.ears.heard.Store(0)
			if !lost && ctx.Err() == nil {
				lost = true
				r.log.Warn("Redis does not tell of revocations; each read asks it until it does", "error", err)
			}
			_ = sleep(ctx, pingEvery)
		}
	})
}

// subscription listens until the connection fails, a ping is not answered in time, or ctx ends.
func (r *Redis[V]) subscription(ctx context.Context, begun func()) error {
	ps := r.client.Subscribe(ctx, r.channel())
	unblock := context.AfterFunc(ctx, func() { _ = ps.Close() }) // a read does not watch ctx
	defer func() {
		unblock()
		_ = ps.Close()
	}()
	opened := r.ears.since()
	nextPing := time.Now()
	for ctx.Err() == nil {
		message, err := ps.ReceiveTimeout(ctx, max(time.Until(nextPing), time.Millisecond))
		switch m := message.(type) {
		case *redis.Subscription:
			r.ears.epoch.Add(1)
			r.ears.heard.Store(opened)
			begun()
		case *redis.Pong:
			if sent, err := strconv.ParseInt(m.Payload, 10, 64); err == nil {
				r.ears.heard.Store(sent)
				r.buryLate(ctx)
			}
		case *redis.Message:
			if t, ok := r.keys.readMessage(m.Payload); ok {
				r.ears.tell(t)
			}
		}
		if timeout, ok := errors.AsType[net.Error](err); err != nil && (!ok || !timeout.Timeout()) {
			return err
		}
		if time.Now().Before(nextPing) {
			continue
		}
		if last := max(r.ears.heard.Load(), opened); r.ears.since()-last > int64(deafAfter) {
			return errDeaf
		}
		if err := ps.Ping(ctx, strconv.FormatInt(r.ears.since(), 10)); err != nil {
			return err
		}
		nextPing = time.Now().Add(pingEvery)
	}
	return ctx.Err()
}

var errDeaf = errors.New("cache: the subscription does not answer")

func (r *Redis[V]) channel() string { return r.prefix + "burials" }

// Bury implements [Shared]: first the tombstone, then the message, so that who hears of it finds it.
// A tombstone that cannot be written is written when the subscription lives again.
func (r *Redis[V]) Bury(ctx context.Context, row Row, ttl time.Duration) error {
	err := r.bury(ctx, row, ttl)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.unburied[row] = time.Now().Add(ttl)
	}
	return err
}

func (r *Redis[V]) bury(ctx context.Context, row Row, ttl time.Duration) error {
	n := r.keys.namesOf(r.prefix, Key{row: row})
	return r.write(ctx, "bury a row in Redis", func(ctx context.Context) error {
		if err := r.client.Set(ctx, n.tombstone, n.proof, ttl).Err(); err != nil {
			return err
		}
		return r.client.Publish(ctx, r.channel(), r.keys.message(r.keys.Tag(row))).Err()
	})
}

// buryLate writes the tombstones that could not be written before.
func (r *Redis[V]) buryLate(ctx context.Context) {
	r.mu.Lock()
	late := r.unburied
	r.unburied = map[Row]time.Time{}
	r.mu.Unlock()
	for row, until := range late {
		if ttl := time.Until(until); ttl > 0 {
			_ = r.Bury(ctx, row, ttl)
		}
	}
}

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
	// pingEvery is how often a subscription is asked whether it still lives.
	pingEvery = 500 * time.Millisecond
	// deafAfter is how long ago the last answered ping may have been sent.
	deafAfter = 2 * time.Second
)

// ears hear of rows that other processes revoke.
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
		for sleep(ctx, pingEvery) == nil {
			r.writePending(ctx)
		}
	})
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

// subscription listens until the connection fails, a ping is not answered in time, or ctx ends. A
// read that failed ends it, time-outs too: go-redis would lose a message whose end comes later.
func (r *Redis[V]) subscription(ctx context.Context, begun func()) error {
	ps := r.client.Subscribe(ctx, r.channel())
	ctx, cancel := context.WithCancel(ctx)
	var pinger sync.WaitGroup
	defer func() {
		cancel()
		_ = ps.Close()
		pinger.Wait()
	}()
	context.AfterFunc(ctx, func() { _ = ps.Close() }) // a read does not watch ctx
	opened := r.ears.since()
	pinger.Go(func() {
		defer cancel()
		for {
			if ps.Ping(ctx, strconv.FormatInt(r.ears.since(), 10)) != nil || sleep(ctx, pingEvery) != nil {
				return
			}
		}
	})
	for {
		message, err := ps.ReceiveTimeout(ctx, deafAfter)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *redis.Subscription:
			r.ears.epoch.Add(1)
			r.ears.heard.Store(opened)
			begun()
		case *redis.Pong:
			if sent, err := strconv.ParseInt(m.Payload, 10, 64); err == nil {
				r.ears.heard.Store(sent)
			}
		case *redis.Message:
			if t, ok := r.keys.readMessage(m.Payload); ok {
				r.ears.tell(t)
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
func (r *Redis[V]) Revoke(ctx context.Context, row Row, ttl time.Duration) error {
	err := r.writeTombstone(ctx, row, ttl)
	if err != nil {
		now := time.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		maps.DeleteFunc(r.pending, func(_ Row, until time.Time) bool { return now.After(until) })
		r.pending[row] = now.Add(ttl)
	}
	return err
}

func (r *Redis[V]) writeTombstone(ctx context.Context, row Row, ttl time.Duration) error {
	n := r.keys.namesOf(r.prefix, Key{row: row})
	return r.ask(ctx, opRevoke, func(ctx context.Context) error {
		if err := r.client.Set(ctx, n.tombstone, n.proof, ttl).Err(); err != nil {
			return err
		}
		if err := r.client.Set(ctx, r.keys.generationOf(r.prefix, row.resource), rand.Text(), generationTTL).Err(); err != nil {
			return err
		}
		return publish.Run(ctx, r.client, []string{r.channel()}, r.keys.message(r.keys.Tag(row))).Err()
	})
}

// generationTTL is how long a generation is kept. One that is gone is followed by another, under
// which no list is known yet.
const generationTTL = time.Hour

// currentGeneration returns the generation, or begins the one that is offered.
//
// KEYS generation; ARGV a new one, its time to live in ms.
var currentGeneration = redis.NewScript(luaGet + `
local current = get(KEYS[1])
if current and current ~= '' then
	return current
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`)

// errPendingRevocation says that a revocation could not be told yet, so that lists of before it may be there.
var errPendingRevocation = errors.New("cache: a revocation has not reached Redis yet")

// Generation implements [Shared].
func (r *Redis[V]) Generation(ctx context.Context, resource string) (generation string, err error) {
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
	err = r.ask(ctx, opGeneration, func(ctx context.Context) (err error) {
		generation, err = currentGeneration.Run(ctx, r.client, []string{r.keys.generationOf(r.prefix, resource)},
			rand.Text(), generationTTL.Milliseconds()).Text()
		return err
	})
	return generation, err
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

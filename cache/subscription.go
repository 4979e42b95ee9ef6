package cache

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pingInterval is how often a subscription is checked.
	pingInterval = 500 * time.Millisecond
	// syncTimeout is how long ago the last answered ping may have been sent.
	syncTimeout = 2 * time.Second
)

// subscription receives notifications of revocations from Redis, and knows whether it may have missed one.
type subscription struct {
	*connection
	channel string
	keys    *Keys
	notify  func(ResourceHash)

	// generation counts subscriptions. Between two of them notifications may have been missed.
	generation atomic.Int64
	// confirmed is when the last answered ping was sent, in nanoseconds since start; 0 while disconnected.
	confirmed atomic.Int64
	start     time.Time
}

// inSync reports whether no notification has been missed since the generation began.
func (s *subscription) inSync(generation int64) bool {
	confirmed := s.confirmed.Load()
	return confirmed > 0 && generation > 0 && generation == s.generation.Load() && s.elapsed()-confirmed < int64(syncTimeout)
}

func (s *subscription) elapsed() int64 { return max(int64(time.Since(s.start)), 1) }

// run keeps a subscription until ctx ends.
func (s *subscription) run(ctx context.Context) {
	lost := false
	for ctx.Err() == nil {
		err := s.receive(ctx, func() {
			if lost {
				s.log.Info("Redis subscription restored")
			}
			lost = false
		})
		s.confirmed.Store(0)
		if !lost && ctx.Err() == nil {
			lost = true
			s.log.Warn("Redis subscription lost; each read asks Redis for revocations", "error", err)
		}
		_ = sleep(ctx, pingInterval)
	}
}

// receive subscribes and receives until the connection fails, a ping is not answered in time, or ctx ends. A
// read that times out ends it too: go-redis would lose a message that arrives in two parts.
func (s *subscription) receive(ctx context.Context, subscribed func()) error {
	ps := s.client.Subscribe(ctx, s.channel)
	ctx, cancel := context.WithCancel(ctx)
	var pinger sync.WaitGroup
	defer func() {
		cancel()
		_ = ps.Close()
		pinger.Wait()
	}()
	context.AfterFunc(ctx, func() { _ = ps.Close() }) // a read does not watch ctx
	opened := s.elapsed()
	pinger.Go(func() {
		defer cancel()
		for {
			if ps.Ping(ctx, strconv.FormatInt(s.elapsed(), 10)) != nil || sleep(ctx, pingInterval) != nil {
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
			s.generation.Add(1)
			s.confirmed.Store(opened)
			subscribed()
		case *redis.Pong:
			if sent, err := strconv.ParseInt(m.Payload, 10, 64); err == nil {
				s.confirmed.Store(sent)
			}
		case *redis.Message:
			if hash, ok := s.keys.readNotification(m.Payload); ok {
				s.notify(hash)
			}
		}
	}
}

package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	redisPrefix = "authentik-graphql:"
	kindValue   = "v"
	// redisTimeout bounds one operation, from waiting for a connection to the answer.
	redisTimeout = 150 * time.Millisecond
)

// Redis is a [Store] shared by processes with the same secret. Values are sealed, names are hashes,
// and every name has a time to live.
type Redis[V any] struct {
	client redis.UniversalClient
	keys   *Keys
	codec  Codec[V]
}

var _ Store[int] = (*Redis[int])(nil)

// NewRedis makes a store on a client made by [NewRedisClient].
func NewRedis[V any](client redis.UniversalClient, keys *Keys, codec Codec[V]) *Redis[V] {
	return &Redis[V]{client: client, keys: keys, codec: codec}
}

// NewRedisClient makes a client for a redis://, rediss:// or unix:// URL that fails fast: every
// wait is short and nothing is retried, because a cache that makes its callers wait is worse than
// none. It connects to nothing yet.
func NewRedisClient(url string) (*redis.Client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("not a redis://, rediss:// or unix:// URL") // the cause may hold the password
	}
	o.ContextTimeoutEnabled = true // off by default: a context's deadline would be ignored
	o.DialTimeout = redisTimeout
	o.ReadTimeout = redisTimeout
	o.WriteTimeout = redisTimeout
	o.PoolTimeout = redisTimeout
	o.MaxRetries = -1 // 0 would mean 3
	o.DialerRetries = 1
	o.PoolSize = 32
	o.MaxActiveConns = 32
	o.DisableIdentity = true
	o.Protocol = 2 // all that is needed, and old servers and proxies know it
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o), nil
}

// Get implements [Store]. A value that we did not seal under this name is an error that wraps
// errUntrusted.
func (r *Redis[V]) Get(ctx context.Context, key Key) (Entry[V], bool, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	name := r.keys.redisName(redisPrefix, kindValue, key)
	sealed, err := r.client.Get(ctx, name).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return Entry[V]{}, false, nil
	case redis.HasErrorPrefix(err, "WRONGTYPE"): // somebody keeps a list or the like under our name
		return Entry[V]{}, false, errUntrusted
	case err != nil:
		return Entry[V]{}, false, fmt.Errorf("cache: read from Redis: %w", err)
	}
	plain, err := r.keys.openValue(key.caller, name, sealed)
	if err != nil {
		return Entry[V]{}, false, err
	}
	e, err := decodeEntry(r.codec, plain)
	return e, err == nil, err
}

// Set implements [Store].
func (r *Redis[V]) Set(ctx context.Context, key Key, e Entry[V], ttl time.Duration) error {
	if ttl < time.Millisecond { // Redis knows no shorter one, and go-redis would round it up
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	name := r.keys.redisName(redisPrefix, kindValue, key)
	sealed, err := r.keys.sealValue(key.caller, name, encodeEntry(r.codec, e))
	if err != nil {
		return err
	}
	if err := r.client.Set(ctx, name, sealed, ttl).Err(); err != nil {
		return fmt.Errorf("cache: write to Redis: %w", err)
	}
	return nil
}

// Close closes the client's connections.
func (r *Redis[V]) Close() error { return r.client.Close() }

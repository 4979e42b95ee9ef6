package cache

import (
	"errors"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

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

package cache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

const ttl = 5 * time.Second

func TestMain(m *testing.M) {
	logging.Disable() // go-redis prints every refused connection
	goleak.VerifyTestMain(m)
}

// keysOf derives the keys of a secret of 32 equal bytes.
func keysOf(t testing.TB, secret byte) *cache.Keys {
	t.Helper()
	keys, err := cache.DeriveKeys(bytes.Repeat([]byte{secret}, cache.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newMemory(t testing.TB, now func() time.Time) *cache.Memory {
	t.Helper()
	m, err := cache.NewMemory(1<<20, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func newRedis(t testing.TB, url string, keys *cache.Keys) *cache.Redis {
	t.Helper()
	client, err := cache.NewRedisClient(cache.RedisOptions{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return newRedisOn(t, client, keys, slog.New(slog.DiscardHandler))
}

func newRedisOn(t testing.TB, client redis.UniversalClient, keys *cache.Keys, log *slog.Logger) *cache.Redis {
	t.Helper()
	s := cache.NewRedis(client, keys, cache.StoreOptions{Prefix: "authentik-graphql:", Errors: cachetest.ErrorCodec, Logger: log})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// waitInSync waits until a store is in sync.
func waitInSync(t testing.TB, s cache.Shared) {
	t.Helper()
	cachetest.Eventually(t, "the process is in sync", func() bool { return s.InSync(s.Subscription()) })
}

// newClient makes an ordinary client, to inspect and corrupt what the cache keeps in Redis.
func newClient(t testing.TB, s *cachetest.RedisServer) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// masters calls do with a client of each node that is no replica.
func masters(t testing.TB, client redis.UniversalClient, do func(ctx context.Context, node *redis.Client) error) {
	t.Helper()
	var err error
	switch c := client.(type) {
	case *redis.ClusterClient:
		var mu sync.Mutex
		err = c.ForEachMaster(context.Background(), func(ctx context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			return do(ctx, node)
		})
	case *redis.Client:
		err = do(context.Background(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// redisKeys lists all names in Redis.
func redisKeys(t testing.TB, client redis.UniversalClient) (names []string) {
	t.Helper()
	masters(t, client, func(ctx context.Context, node *redis.Client) error {
		it := node.Scan(ctx, 0, "*", 100).Iterator()
		for it.Next(ctx) {
			names = append(names, it.Val())
		}
		return it.Err()
	})
	return names
}

func flush(t testing.TB, client redis.UniversalClient) {
	t.Helper()
	masters(t, client, func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() })
}

// empty is a memory that keeps nothing.
type empty struct{}

func (empty) Get(cache.Key) (e cache.Encoded, found bool) { return e, false }
func (empty) Set(cache.Key, cache.Encoded, time.Duration) {}
func (empty) Delete(cache.Key)                            {}
func (empty) Close()                                      {}

// newCache makes a cache with the test's ttl.
func newCache(now func() time.Time, memory cache.Store, redis cache.Shared) *cache.Cache[string] {
	return newCacheOf(cache.Policy{TTL: ttl}, now, memory, redis)
}

// newCacheOf makes a cache with a policy.
func newCacheOf(p cache.Policy, now func() time.Time, memory cache.Store, redis cache.Shared) *cache.Cache[string] {
	return cache.New(cache.Options{Policy: p, LoadTimeout: 10 * time.Second, Classify: classify, Now: now}, cachetest.StringCodec, memory, redis)
}

// The errors of an origin.
const (
	errDenied          = cachetest.Error("denied")
	errUnauthenticated = cachetest.Error("unauthenticated")
	errUnavailable     = cachetest.Error("unavailable")
	errFailed          = cachetest.Error("failed")
	errRefused         = cachetest.Error("refused")
)

func classify(err error) cache.Outcome {
	switch {
	case errors.Is(err, errDenied):
		return cache.Denied
	case errors.Is(err, errUnauthenticated):
		return cache.Unauthenticated
	case errors.Is(err, errRefused):
		return cache.Refused
	case errors.Is(err, errUnavailable), errors.Is(err, context.DeadlineExceeded):
		return cache.Unavailable
	}
	return cache.Error
}

// origin counts its loads.
type origin struct {
	now   func() time.Time
	loads atomic.Int64
}

// returns makes a loader of a value that is fetched now and has no end.
func (o *origin) returns(value string) cache.Loader[string] {
	return func(context.Context) (cache.Entry[string], error) {
		o.loads.Add(1)
		return cache.Entry[string]{Value: value, FetchedAt: o.now()}, nil
	}
}

// fails makes a loader that fails.
func (o *origin) fails(err error) cache.Loader[string] {
	return func(context.Context) (cache.Entry[string], error) {
		o.loads.Add(1)
		return cache.Entry[string]{Value: "leftover", FetchedAt: o.now()}, err
	}
}

// never makes a loader that must not be called.
func never(t testing.TB) cache.Loader[string] {
	return func(context.Context) (cache.Entry[string], error) {
		t.Error("the origin was asked")
		return cache.Entry[string]{}, errors.New("asked")
	}
}

// mustGet checks the value that Get returns and its source.
func mustGet(t testing.TB, c *cache.Cache[string], key cache.Key, load cache.Loader[string], want string, from cache.Source) cache.Result[string] {
	t.Helper()
	r, err := c.Get(context.Background(), key, load)
	if err != nil {
		t.Fatalf("get %v: %v", key, err)
	}
	if r.Value != want || r.Source != from {
		t.Fatalf("get %v: got %q from %d, want %q from %d", key, r.Value, r.Source, want, from)
	}
	return r
}

// lines collects log messages.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) count() int { return strings.Count(l.String(), "\n") }

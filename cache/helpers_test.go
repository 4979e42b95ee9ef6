package cache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

const ttl = 5 * time.Second

func TestMain(m *testing.M) {
	logging.Disable() // go-redis prints every refused connection
	os.Exit(m.Run())
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

func newMemory(t testing.TB, now func() time.Time) *cache.Memory[string] {
	t.Helper()
	m, err := cache.NewMemory(1<<20, func(s string) int { return len(s) }, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func newRedis(t testing.TB, url string, keys *cache.Keys) *cache.Redis[string] {
	t.Helper()
	client, err := cache.NewRedisClient(url)
	if err != nil {
		t.Fatal(err)
	}
	s := cache.NewRedis(client, keys, cachetest.StringCodec)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newClient makes an ordinary client, to look at and to spoil what the cache keeps in Redis.
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

func names(t testing.TB, client *redis.Client) []string {
	t.Helper()
	var names []string
	it := client.Scan(context.Background(), 0, "*", 100).Iterator()
	for it.Next(context.Background()) {
		names = append(names, it.Val())
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// empty is a store that keeps nothing.
type empty struct{}

func (empty) Get(context.Context, cache.Key) (e cache.Entry[string], found bool, err error) {
	return e, false, nil
}
func (empty) Set(context.Context, cache.Key, cache.Entry[string], time.Duration) error { return nil }
func (empty) Close() error                                                             { return nil }

// broken is a store that cannot be asked.
type broken struct{ empty }

var errBroken = errors.New("broken")

func (broken) Get(context.Context, cache.Key) (e cache.Entry[string], found bool, err error) {
	return e, false, errBroken
}
func (broken) Set(context.Context, cache.Key, cache.Entry[string], time.Duration) error {
	return errBroken
}

// newCache makes a cache with the test's ttl.
func newCache(now func() time.Time, first, second cache.Store[string]) *cache.Cache[string] {
	return cache.New(cache.Options{
		Policy:      cache.Policy{TTL: ttl},
		LoadTimeout: 10 * time.Second,
		Now:         now,
		Logger:      slog.New(slog.DiscardHandler),
	}, first, second)
}

// origin counts its loads.
type origin struct {
	now   func() time.Time
	loads atomic.Int64
}

// gives makes a loader of a value that was fetched now and has no end.
func (o *origin) gives(value string) cache.Loader[string] {
	return func(context.Context) (cache.Entry[string], error) {
		o.loads.Add(1)
		return cache.Entry[string]{Value: value, FetchedAt: o.now()}, nil
	}
}

// never is a loader that must not be asked.
func never(t testing.TB) cache.Loader[string] {
	return func(context.Context) (cache.Entry[string], error) {
		t.Error("the origin was asked")
		return cache.Entry[string]{}, errors.New("asked")
	}
}

// mustGet reads and checks the value and where it came from.
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

// lines is a log handler that keeps what it is told.
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

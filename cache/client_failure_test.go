package cache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// TestRedisClusterLosesAMaster: the client finds the new master of a name and can write it.
func TestRedisClusterLosesAMaster(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		lose func(*cachetest.RedisServer)
	}{
		{"killed", (*cachetest.RedisServer).Kill},
		{"suspended", (*cachetest.RedisServer).Stop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cluster := cachetest.StartCluster(t)
			c := newUniversal(t, cache.RedisOptions{URL: cluster.URL(), Mode: cache.Cluster})
			testCommands(t, c)
			replicated(t, newClient(t, cluster.MasterOf("name")), "name", "old")
			cluster.LoseMaster("name", tt.lose)
			atMost(t, 5*time.Second, func() {
				try(t, "the name comes back", func(ctx context.Context) error {
					got, err := getFast(ctx, c, "name")
					if err == nil && got != "old" {
						t.Fatalf("got %q, want the old value", got)
					}
					return err
				})
			})
			testCommands(t, c)
			cluster.FlushAll()
			if err := c.Get(t.Context(), "name").Err(); err != redis.Nil {
				t.Errorf("after flushing: %v", err)
			}
		})
	}
}

// TestRedisSentinelFailover: the client finds the new primary, even if the first sentinel is suspended as
// well.
func TestRedisSentinelFailover(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		lose         func(*cachetest.RedisServer)
		sentinelToo  bool
		wantToFollow time.Duration
	}{
		{"killed", (*cachetest.RedisServer).Kill, false, 2 * time.Second},
		{"suspended", (*cachetest.RedisServer).Stop, false, 2 * time.Second},
		{"suspended, with a sentinel", (*cachetest.RedisServer).Stop, true, 4 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := cachetest.StartSentinel(t)
			url := s.URL()
			if tt.sentinelToo { // the client found the others through this one
				url = "redis://" + s.Sentinels()[0].Addr() + "?master_name=mymaster"
			}
			c := newUniversal(t, cache.RedisOptions{URL: url, Mode: cache.Sentinel})
			testCommands(t, c)
			replicated(t, newClient(t, s.Primary()), "name", "old")
			if tt.sentinelToo {
				s.Sentinels()[0].Stop()
			}
			s.Failover(tt.lose)
			atMost(t, tt.wantToFollow, func() {
				try(t, "the name comes back", func(ctx context.Context) error {
					got, err := getFast(ctx, c, "name")
					if err == nil && got != "old" {
						t.Fatalf("got %q, want the old value", got)
					}
					return err
				})
				try(t, "SET", func(ctx context.Context) error { return c.Set(ctx, "name", "new", time.Minute).Err() })
			})
			testCommands(t, c)
			if got := newClient(t, s.Primary()).Get(t.Context(), "name").Val(); got != "new" {
				t.Errorf("the new primary has %q", got)
			}
		})
	}
}

func getFast(ctx context.Context, c redis.UniversalClient, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fast)
	defer cancel()
	return c.Get(ctx, name).Result()
}

// replicated writes a value and waits for the replica to have it.
func replicated(t *testing.T, direct *redis.Client, name, value string) {
	t.Helper()
	cmds, err := direct.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), name, value, time.Minute)
		p.Do(t.Context(), "WAIT", 1, 5000)
		return nil
	})
	if err != nil || cmds[1].(*redis.Cmd).Val() != int64(1) {
		t.Fatalf("%v, %v", cmds, err)
	}
}

func atMost(t *testing.T, bound time.Duration, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > bound {
		t.Errorf("took %s, want at most %s", took, bound)
	} else {
		t.Logf("took %s", took)
	}
}

// TestRedisFailuresAreShort: an operation never outlasts its context, and its error shows no password.
func TestRedisFailuresAreShort(t *testing.T) {
	standalone := cachetest.StartRedis(t, "--requirepass", "s3cr3t")
	secure, foreign := cachetest.StartRedisTLS(t), cachetest.StartRedisTLS(t)
	cluster, sentinel := cachetest.StartCluster(t, "--requirepass", "s3cr3t"), cachetest.StartSentinel(t, "--requirepass", "s3cr3t")
	wrong := func(url string) string { return strings.Replace(url, "s3cr3t", "hunter2", 1) }
	check := func(t *testing.T, c redis.UniversalClient, want string) {
		t.Helper()
		for range 3 {
			atMost(t, time.Second, func() { // far more than it takes, for busy machines
				_, err := getFast(t.Context(), c, "name")
				switch {
				case err == nil || err == redis.Nil:
					t.Error("no error")
				case strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "hunter2"):
					t.Errorf("shows a password: %v", err)
				}
			})
		}
		cachetest.Eventually(t, "the error says "+want, func() bool {
			_, err := getFast(t.Context(), c, "name")
			return err != nil && strings.Contains(err.Error(), want)
		})
	}
	for _, tt := range []struct {
		name string
		o    cache.RedisOptions
		want string // may come late: loading the certificates of the system can take too long
	}{
		{"wrong password", cache.RedisOptions{URL: wrong(standalone.URL())}, "WRONGPASS"},
		{"wrong password, cluster", cache.RedisOptions{URL: wrong(cluster.URL()), Mode: cache.Cluster}, "WRONGPASS"},
		{"wrong password, sentinel", cache.RedisOptions{URL: wrong(sentinel.URL()), Mode: cache.Sentinel}, "WRONGPASS"},
		{"no CA", cache.RedisOptions{URL: secure.URL()}, "x509: certificate signed by unknown authority"},
		{"foreign CA", cache.RedisOptions{URL: secure.URL(), RootCAs: foreign.RootCAs()}, "x509: certificate signed by unknown authority"},
		{"another name", cache.RedisOptions{URL: strings.Replace(secure.URL(), "127.0.0.1", "localhost", 1), RootCAs: secure.RootCAs()}, "x509: certificate is not valid for any names"},
		{"no TLS", cache.RedisOptions{URL: strings.Replace(standalone.URL(), "redis:", "rediss:", 1)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, newUniversal(t, tt.o), tt.want) })
	}
	for _, tt := range []struct {
		name    string
		o       cache.RedisOptions
		servers []*cachetest.RedisServer
	}{
		{"suspended", cache.RedisOptions{URL: standalone.URL()}, []*cachetest.RedisServer{standalone}},
		{"suspended, TLS", cache.RedisOptions{URL: secure.URL(), RootCAs: secure.RootCAs()}, []*cachetest.RedisServer{secure}},
		{"suspended, cluster", cache.RedisOptions{URL: cluster.URL(), Mode: cache.Cluster}, cluster.Nodes()},
		{"suspended, sentinel", cache.RedisOptions{URL: sentinel.URL(), Mode: cache.Sentinel}, append(sentinel.Sentinels(), sentinel.Primary())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cold, warm := newUniversal(t, tt.o), newUniversal(t, tt.o)
			testCommands(t, warm)
			for _, s := range tt.servers {
				s.Stop()
			}
			check(t, warm, "")
			check(t, cold, "")
		})
	}
}

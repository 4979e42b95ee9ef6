package cache_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// fast bounds an operation on Redis.
const fast = 150 * time.Millisecond

func newUniversal(t testing.TB, o cache.RedisOptions) redis.UniversalClient {
	t.Helper()
	c, err := cache.NewRedisClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// try retries, because the timeouts are short for a busy machine.
func try(t testing.TB, what string, do func(context.Context) error) {
	t.Helper()
	var err error
	defer func() {
		if err != nil {
			t.Logf("%s: the last error is %v", what, err)
		}
	}()
	cachetest.Eventually(t, what, func() bool {
		err = do(context.Background())
		return err == nil
	})
}

// TestRedisForms runs all kinds of commands on every kind of Redis.
func TestRedisForms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) cache.RedisOptions
	}{
		{"standalone", func(t *testing.T) cache.RedisOptions {
			return cache.RedisOptions{URL: cachetest.StartRedis(t).URL()}
		}},
		{"Unix socket", func(t *testing.T) cache.RedisOptions {
			return cache.RedisOptions{URL: cachetest.StartRedisSocket(t).URL(), Mode: cache.Standalone}
		}},
		{"TLS", func(t *testing.T) cache.RedisOptions {
			s := cachetest.StartRedisTLS(t)
			return cache.RedisOptions{URL: s.URL(), RootCAs: s.RootCAs()}
		}},
		{"ACL user", func(t *testing.T) cache.RedisOptions {
			s := cachetest.StartRedis(t, "--user", "app", "on", ">s3cr3t", "~*", "&*", "+@all", "--user", "default", "off")
			if !strings.HasPrefix(s.URL(), "redis://app:s3cr3t@") {
				t.Fatal(s.URL())
			}
			return cache.RedisOptions{URL: s.URL()}
		}},
		{"cluster", func(t *testing.T) cache.RedisOptions {
			return cache.RedisOptions{URL: cachetest.StartCluster(t).URL(), Mode: cache.Cluster}
		}},
		{"sentinel", func(t *testing.T) cache.RedisOptions {
			return cache.RedisOptions{URL: cachetest.StartSentinel(t).URL(), Mode: cache.Sentinel}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testCommands(t, newUniversal(t, tt.start(t)))
		})
	}
}

func testCommands(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	for i := range 50 { // enough for every master of the cluster to get some
		name, value := fmt.Sprintf("name-%d", i), fmt.Sprint(i)
		try(t, "SET", func(ctx context.Context) error { return c.Set(ctx, name, value, time.Minute).Err() })
		try(t, "GET", func(ctx context.Context) error {
			got, err := c.Get(ctx, name).Result()
			if err == nil && got != value {
				t.Fatalf("got %q, want %q", got, value)
			}
			return err
		})
	}
	script := redis.NewScript(`redis.call('SET', KEYS[1], ARGV[1]); return redis.call('INCR', KEYS[2])`)
	for i := range 5 {
		keys := []string{fmt.Sprintf("{%d}:a", i), fmt.Sprintf("{%d}:b", i)}
		try(t, "EVAL", func(ctx context.Context) error {
			return script.Run(ctx, c, keys, "x").Err()
		})
	}
	try(t, "a pipeline", func(ctx context.Context) error {
		cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 50 {
				p.Get(ctx, fmt.Sprintf("name-%d", i))
			}
			return nil
		})
		for i, cmd := range cmds {
			if got := cmd.(*redis.StringCmd).Val(); err == nil && got != fmt.Sprint(i) {
				t.Fatalf("%v: want %d", cmd, i)
			}
		}
		return err
	})
	testPubSub(t, c)
}

func testPubSub(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	sub := c.Subscribe(t.Context(), "news")
	defer func() { _ = sub.Close() }()
	messages := sub.Channel()
	cachetest.Eventually(t, "a message arrives", func() bool {
		_ = c.Publish(t.Context(), "news", "hello")
		select {
		case m := <-messages:
			return m.Payload == "hello"
		default:
			return false
		}
	})
}

func TestNewRedisClientRefuses(t *testing.T) {
	const addrs = "&addr=localhost:2"
	for _, tt := range []struct {
		url  string
		mode cache.RedisMode
		want string
	}{
		{"", "", "is not a redis://, rediss:// or unix:// URL"},
		{"localhost:6379", "", "is not a redis://"},
		{"redis:localhost:6379", "", "is not a redis://"},
		{"http://:hunter2@localhost", "", "is not a redis://"},
		{"redis://:hunter2@local host", "", "is not a redis://"},
		{"redis://:hunter2%zz@localhost", "", "is not a redis://"},
		{"unix://:hunter2@", "", "cannot be used"},
		{"redis://:hunter2@localhost/zero", "", "cannot be used"},
		{"redis://:hunter2@localhost/0/1", "", "cannot be used"},
		{"redis://:hunter2@localhost?nonsense=1", "", "cannot be used"},
		{"redis://:hunter2@localhost?hunter2=1", cache.Cluster, "cannot be used"},
		{"redis://:hunter2@localhost?addr=hunter2", cache.Cluster, "cannot be used"},
		{"redis://:hunter2@localhost?master_name=m&password=hunter2&addr=hunter2", cache.Sentinel, "cannot be used"},
		{"redis://:hunter2@localhost/hunter2?master_name=m", cache.Sentinel, "cannot be used"},
		{"redis://:hunter2@localhost", "hunter2", "mode that is not standalone, cluster or sentinel"},
		{"redis://:hunter2@localhost?skip_verify=true", "", "name the server's certificate in REDIS_CA_FILE instead"},
		{"rediss://:hunter2@localhost?skip_verify=1", cache.Cluster, "must not have skip_verify"},
		{"rediss://:hunter2@localhost?skip_verify=true&master_name=m", cache.Sentinel, "must not have skip_verify"},
		{"redis://:hunter2@localhost?x=1" + addrs, cache.Standalone, "addr, which is for REDIS_MODE=cluster and"},
		{"redis://:hunter2@localhost?master_name=m", "", "master_name, which is for REDIS_MODE=sentinel"},
		{"redis://:hunter2@localhost?master_name=m", cache.Cluster, "master_name, which is for REDIS_MODE=sentinel"},
		{"redis://:hunter2@localhost/3", cache.Cluster, "must not have a database number in cluster mode"},
		{"redis://:hunter2@localhost?db=3", cache.Cluster, "must not have a database number in cluster mode"},
		{"unix:///run/redis.sock", cache.Cluster, "must not be a unix:// URL"},
		{"unix:///run/redis.sock?master_name=m", cache.Sentinel, "must not be a unix:// URL"},
		{"redis://:hunter2@localhost", cache.Sentinel, "lacks the parameter master_name"},
		{"redis://:hunter2@localhost?master_name=", cache.Sentinel, "lacks the parameter master_name"},
	} {
		refused(t, cache.RedisOptions{URL: tt.url, Mode: tt.mode}, tt.want)
	}
	pool := x509.NewCertPool()
	for mode, url := range map[cache.RedisMode]string{
		cache.Standalone: "redis://:hunter2@localhost", cache.Cluster: "redis://:hunter2@localhost",
		cache.Sentinel: "redis://:hunter2@localhost?master_name=m", "": "unix:///run/redis.sock",
	} {
		refused(t, cache.RedisOptions{URL: url, Mode: mode, RootCAs: pool}, "must begin with rediss:// if REDIS_CA_FILE is set")
	}
}

func refused(t *testing.T, o cache.RedisOptions, want string) {
	t.Helper()
	c, err := cache.NewRedisClient(o)
	switch {
	case err == nil:
		_ = c.Close()
		t.Errorf("%q, %q was accepted, want %q", o.URL, o.Mode, want)
	case !strings.Contains(err.Error(), want):
		t.Errorf("%q, %q: got %q, want %q", o.URL, o.Mode, err, want)
	case strings.Contains(err.Error(), "hunter2"):
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestNewRedisClientAccepts(t *testing.T) {
	for url, mode := range map[string]cache.RedisMode{
		"redis://localhost":                                                        "",
		"rediss://:hunter2@localhost:1/3":                                          cache.Standalone,
		"unix://user:hunter2@/run/redis.sock?db=1":                                 "",
		"redis://localhost?client_name=x":                                          cache.Cluster,
		"rediss://user:hunter2@localhost:1/0?addr=localhost:2&db=0":                cache.Cluster,
		"redis://localhost/3?master_name=m&addr=localhost:2&username=u&password=p": cache.Sentinel,
	} {
		c, err := cache.NewRedisClient(cache.RedisOptions{URL: url, Mode: mode})
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		_ = c.Close()
	}
}

// TestRedisClientFailsFast checks each option, because most failures are bounded by several of them.
func TestRedisClientFailsFast(t *testing.T) {
	const weaker = "?read_timeout=1h&write_timeout=1h&dial_timeout=1h&pool_timeout=1h&max_retries=5&protocol=3" +
		"&pool_size=1000&max_active_conns=1000&min_idle_conns=5&pipeline_pool_size=1000"
	pool := x509.NewCertPool()
	for _, tt := range []struct {
		url  string
		mode cache.RedisMode
		dial time.Duration
	}{
		{"redis://localhost" + weaker, cache.Standalone, fast},
		{"unix:///run/redis.sock" + weaker, cache.Standalone, fast},
		{"rediss://localhost" + weaker, cache.Standalone, 250 * time.Millisecond},
		{"redis://localhost" + weaker + "&read_only=true&route_by_latency=true&route_randomly=true&max_redirects=99", cache.Cluster, fast},
		{"rediss://localhost" + weaker, cache.Cluster, 250 * time.Millisecond},
		// A dial includes finding the primary, by several connections that are each as short as others.
		{"redis://localhost" + weaker + "&master_name=m&replica_only=true&route_by_latency=true&route_randomly=true&dialer_retries=9", cache.Sentinel, time.Second},
		{"rediss://localhost" + weaker + "&master_name=m", cache.Sentinel, time.Second},
	} {
		t.Run(tt.url[:6]+" "+string(tt.mode), func(t *testing.T) {
			ro := cache.RedisOptions{URL: tt.url, Mode: tt.mode}
			secure := strings.HasPrefix(tt.url, "rediss:")
			if secure {
				ro.RootCAs = pool
			}
			var o redis.Options
			retries := 0 // -1 as a client shows it
			switch c := newUniversal(t, ro).(type) {
			case *redis.Client:
				o = *c.Options()
			case *redis.ClusterClient:
				co := c.Options()
				o = redis.Options{
					DialTimeout: co.DialTimeout, ReadTimeout: co.ReadTimeout, WriteTimeout: co.WriteTimeout, PoolTimeout: co.PoolTimeout,
					Protocol: co.Protocol, DisableIdentity: co.DisableIdentity, ContextTimeoutEnabled: co.ContextTimeoutEnabled,
					DialerRetries: co.DialerRetries, MaxRetries: co.MaxRetries, TLSConfig: co.TLSConfig,
					PoolSize: co.PoolSize, MaxActiveConns: co.MaxActiveConns, MinIdleConns: co.MinIdleConns, PipelinePoolSize: co.PipelinePoolSize,
				}
				retries = -1
				if co.ReadOnly || co.RouteByLatency || co.RouteRandomly {
					t.Error("reads may go to replicas, which may be behind")
				}
				if co.MaxRedirects != 3 || co.ClusterStateReloadInterval > 2*time.Second || !co.DisableRoutingPolicies {
					t.Errorf("got %d redirects, slots reloaded every %s, routing policies disabled: %t", co.MaxRedirects, co.ClusterStateReloadInterval, co.DisableRoutingPolicies)
				}
			}
			for name, d := range map[string]time.Duration{"ReadTimeout": o.ReadTimeout, "WriteTimeout": o.WriteTimeout, "PoolTimeout": o.PoolTimeout} {
				if d != fast {
					t.Errorf("%s is %s, want %s", name, d, fast)
				}
			}
			if o.DialTimeout != tt.dial {
				t.Errorf("DialTimeout is %s, want %s", o.DialTimeout, tt.dial)
			}
			if o.Protocol != 2 || !o.DisableIdentity {
				t.Error("old servers and proxies do not know this protocol")
			}
			if !o.ContextTimeoutEnabled || o.MaxRetries != retries || o.DialerRetries != 1 {
				t.Errorf("context timeouts: %t; retries: %d; dials: %d; want true, %d, 1", o.ContextTimeoutEnabled, o.MaxRetries, o.DialerRetries, retries)
			}
			if o.PoolSize != 32 || o.MaxActiveConns != 32 || o.MinIdleConns != 0 || o.PipelinePoolSize != -1 {
				t.Errorf("got %d, %d, %d, %d connections", o.PoolSize, o.MaxActiveConns, o.MinIdleConns, o.PipelinePoolSize)
			}
			if secure != (o.TLSConfig != nil) {
				t.Fatalf("TLS: %t, want %t", o.TLSConfig != nil, secure)
			}
			if secure && (o.TLSConfig.MinVersion != tls.VersionTLS12 || o.TLSConfig.RootCAs != pool || o.TLSConfig.InsecureSkipVerify) {
				t.Error("the certificate is not verified as it should be")
			}
		})
	}
}

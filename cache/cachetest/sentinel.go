package cachetest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	masterName    = "mymaster"
	sentinelCount = 3
)

// Sentinel is a primary and its replica with three sentinels. Its methods are not safe for concurrent use.
type Sentinel struct {
	t         testing.TB
	servers   []*RedisServer
	sentinels []*RedisServer
	clients   []*redis.Client // of each sentinel
}

// StartSentinel starts them, waits until the sentinels agree, and stops them at the end of the test. args are
// added to both servers' command lines. It skips tests as [StartRedis] does.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	args = append(args, "--repl-diskless-sync-delay", "0") // otherwise the first copy is 5 s late
	primary := StartRedis(t, args...)
	s := &Sentinel{t: t, servers: []*RedisServer{primary, StartReplica(t, primary, args...)}}
	for range sentinelCount {
		s.sentinels = append(s.sentinels, startSentinel(t, primary))
		s.clients = append(s.clients, connect(s.sentinels[len(s.sentinels)-1]))
	}
	t.Cleanup(func() {
		for _, c := range s.clients {
			_ = c.Close()
		}
	})
	s.eventually("the sentinels know each other and the replica", func(c *redis.Client) bool {
		info := c.Info(context.Background(), "sentinel").Val()
		return strings.Contains(info, fmt.Sprintf("status=ok,address=%s,slaves=1,sentinels=%d", primary.addr, sentinelCount))
	})
	return s
}

func startSentinel(t testing.TB, primary *RedisServer) *RedisServer {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary.addr)
	s := newServer(t, "--sentinel")
	s.config = filepath.Join(s.dir, "sentinel.conf")
	config := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 2\nsentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 2000\n",
		masterName, host, port)
	if primary.user != "" {
		config += fmt.Sprintf("sentinel auth-user %s %s\n", masterName, primary.user)
	}
	if primary.password != "" {
		config += fmt.Sprintf("sentinel auth-pass %s %s\n", masterName, primary.password)
	}
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.launch()
	c := connect(s)
	defer func() { _ = c.Close() }()
	// By default sentinels greet each other every 2 s and check replicas every 10 s.
	if err := c.Do(t.Context(), "sentinel", "debug", "publish-period", "100", "info-period", "100", "ask-period", "100").Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits until ok returns true for each sentinel that is alive.
func (s *Sentinel) eventually(what string, ok func(*redis.Client) bool) {
	s.t.Helper()
	Eventually(s.t, what, func() bool {
		for i, c := range s.clients {
			if s.sentinels[i].alive() && !ok(c) {
				return false
			}
		}
		return true
	})
}

// Sentinels returns the three sentinels.
func (s *Sentinel) Sentinels() []*RedisServer { return s.sentinels }

// URL returns the address of all sentinels for a client.
func (s *Sentinel) URL() string {
	q := addrs(s.sentinels[1:])
	q.Set("master_name", masterName)
	if s.servers[0].password != "" {
		q.Set("username", s.servers[0].user)
		q.Set("password", s.servers[0].password)
	}
	u := url.URL{Scheme: "redis", Host: s.sentinels[0].addr, Path: "/0", RawQuery: q.Encode()}
	return u.String()
}

// Primary returns the server that the sentinels regard as the primary.
func (s *Sentinel) Primary() *RedisServer {
	s.t.Helper()
	i := slices.IndexFunc(s.sentinels, (*RedisServer).alive)
	if i < 0 {
		s.t.Fatal("no sentinel runs")
	}
	addr := primaryAddr(s.clients[i])
	i = slices.IndexFunc(s.servers, func(r *RedisServer) bool { return r.addr == addr })
	if i < 0 {
		s.t.Fatalf("the primary %q is not one of the servers", addr)
	}
	return s.servers[i]
}

// Failover makes the primary fail, such as by [RedisServer.Kill] or [RedisServer.Stop], and waits until the
// replica is promoted and all sentinels know. There is no replica afterwards.
func (s *Sentinel) Failover(lose func(*RedisServer)) {
	s.t.Helper()
	lost := s.Primary()
	lose(lost)
	s.eventually("the sentinels name another primary", func(c *redis.Client) bool {
		addr := primaryAddr(c)
		return addr != "" && addr != lost.addr
	})
	c := connect(s.Primary())
	defer func() { _ = c.Close() }()
	Eventually(s.t, "the replica is promoted", func() bool {
		return strings.Contains(c.Info(context.Background(), "replication").Val(), "role:master")
	})
}

// primaryAddr asks a sentinel for the primary; "" means no reply.
func primaryAddr(c *redis.Client) string {
	addr, err := c.Do(context.Background(), "sentinel", "get-master-addr-by-name", masterName).StringSlice()
	if err != nil || len(addr) != 2 {
		return ""
	}
	return net.JoinHostPort(addr[0], addr[1])
}

// connect makes an ordinary client of a server, to inspect and control it.
func connect(s *RedisServer) *redis.Client {
	const timeout = time.Second
	return redis.NewClient(&redis.Options{
		Network: s.network(), Addr: s.addr, Username: s.user, Password: s.password,
		Protocol: 2, MaxRetries: -1, DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout,
	})
}

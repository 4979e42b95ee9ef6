//go:build linux

package faults

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// The service's settings, as far as the checks depend on them.
const (
	upstreamTimeout = 2 * time.Second
	cacheTTL        = time.Second
	// authentikLatency is what a read costs a real one.
	authentikLatency = 40 * time.Millisecond
)

const (
	redisPassword = "redis-password"
	otherPassword = "redis-password-of-tomorrow"
)

// cacheSecret is the service's CACHE_SECRET.
func cacheSecret() string {
	return base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes ..."))
}

// scene is everything that a row needs, for the goroutine of its test.
type scene struct {
	t *testing.T
	// One of these is Redis, in the form that the row wants.
	redis    *cachetest.RedisServer
	sentinel *cachetest.Sentinel
	cluster  *cachetest.Cluster

	proxy     *proxy // between the service and Redis, if the row wants one
	authentik *authentik
	service   *service
	traffic   *traffic
}

// newScene starts everything but the traffic. ends is when some of the codes expire, seed that of
// the order in which they are asked for, and settings are the service's further ones.
func newScene(t *testing.T, binary string, f fault, ends time.Time, seed uint64, settings ...string) *scene {
	t.Helper()
	s := &scene{t: t, authentik: startAuthentik(t)}
	s.service = startService(t, binary, append(settings,
		"AUTHENTIK_URL=http://"+s.authentik.addr,
		"REDIS_MODE="+string(f.mode),
		"REDIS_URL="+s.startRedis(f),
		"CACHE_SECRET="+cacheSecret(),
		"CACHE_TTL="+cacheTTL.String(),
		"CACHE_STALE_IF_ERROR=30s",
		"UPSTREAM_TIMEOUT="+upstreamTimeout.String(),
		"LOG_LEVEL=info",
	)...)
	s.traffic = newTraffic(t, s.service.addr, newFixture(s.authentik.Authentik, ends, seed), secrets())
	return s
}

// secrets are what no answer and no line of log may hold.
func secrets() []string {
	return []string{redisPassword, cacheSecret(), upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenRoot}
}

// startRedis starts Redis in the form that the row wants and returns the service's address of it.
func (s *scene) startRedis(f fault) (url string) {
	s.t.Helper()
	args := []string{"--requirepass", redisPassword}
	switch f.mode {
	case cache.Sentinel:
		s.sentinel = cachetest.StartSentinel(s.t, args...)
		return s.sentinel.URL()
	case cache.Cluster:
		s.cluster = cachetest.StartCluster(s.t, args...)
		return s.cluster.URL()
	}
	s.redis = cachetest.StartRedis(s.t, args...)
	if f.proxied {
		s.proxy = startProxy(s.t, s.redis.Addr())
		return strings.Replace(s.redis.URL(), s.redis.Addr(), s.proxy.addr(), 1)
	}
	return s.redis.URL()
}

// masters are the servers that take writes now.
func (s *scene) masters() []*cachetest.RedisServer {
	s.t.Helper()
	switch {
	case s.sentinel != nil:
		return []*cachetest.RedisServer{s.sentinel.Primary()}
	case s.cluster != nil:
		// Each of these names is in another third of the slots.
		return []*cachetest.RedisServer{s.cluster.MasterOf("a"), s.cluster.MasterOf("b"), s.cluster.MasterOf("c")}
	}
	return []*cachetest.RedisServer{s.redis}
}

// admin sends a command to the one Redis with the password that is in force.
func (s *scene) admin(password string, command ...any) any {
	s.t.Helper()
	return s.command(s.redis, password, command...)
}

func (s *scene) command(server *cachetest.RedisServer, password string, command ...any) any {
	s.t.Helper()
	rc := redis.NewClient(&redis.Options{Addr: server.Addr(), Password: password})
	defer func() { _ = rc.Close() }()
	answer, err := rc.Do(s.t.Context(), command...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", command[0], err)
	}
	return answer
}

// usesRedis waits until the service stores something in an emptied Redis, on every server that takes
// writes. Clients cannot tell: they are answered as well without.
func (s *scene) usesRedis() {
	s.t.Helper()
	for _, server := range s.masters() {
		s.command(server, redisPassword, "FLUSHALL")
		cachetest.Eventually(s.t, "the service uses Redis", func() bool {
			return s.command(server, redisPassword, "DBSIZE") != int64(0)
		})
	}
}

// changePassword changes Redis's password and ends the connections that know the old one: Redis
// itself lets them go on.
func (s *scene) changePassword(from, to string) {
	s.t.Helper()
	s.admin(from, "CONFIG", "SET", "requirepass", to)
	s.admin(to, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
}

// authentik is a fake one that can die and come back at its address.
type authentik struct {
	*upstreamtest.Authentik
	t      *testing.T
	addr   string
	server *http.Server
	ended  chan struct{} // closed when server does not accept any more
}

func startAuthentik(t *testing.T) *authentik {
	t.Helper()
	a := &authentik{Authentik: upstreamtest.New(upstreamtest.Options{}), t: t, addr: "127.0.0.1:0"}
	a.SetLatency(authentikLatency)
	a.open()
	t.Cleanup(func() {
		a.Close() // else what hangs would go on to
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.server.Shutdown(ctx); err != nil {
			t.Errorf("stop authentik: %v", err)
		}
		<-a.ended
	})
	return a
}

// open listens, at the old address if there is one.
func (a *authentik) open() {
	a.t.Helper()
	var listener net.Listener
	cachetest.Eventually(a.t, "authentik listens", func() (ok bool) {
		var err error
		listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", a.addr)
		return err == nil
	})
	server := &http.Server{Handler: a.Authentik, ReadHeaderTimeout: clientTimeout, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	a.addr, a.server, a.ended = listener.Addr().String(), server, ended
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.t.Errorf("authentik: %v", err)
		}
	}()
}

// kill closes the listener and every connection.
func (a *authentik) kill() {
	_ = a.server.Close()
	<-a.ended
}

// dropIdle closes connections that nobody uses, whose goroutines would else live in the service for
// as long as it keeps them.
func (a *authentik) dropIdle() {
	a.server.SetKeepAlivesEnabled(false)
	a.server.SetKeepAlivesEnabled(true)
}

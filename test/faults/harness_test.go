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

// The settings that the checks depend on.
const (
	upstreamTimeout  = 2 * time.Second
	cacheTTL         = time.Second
	authentikLatency = 40 * time.Millisecond // as of a real one
)

const (
	redisPassword = "redis-password"
	otherPassword = "redis-password-of-tomorrow"
)

// cacheSecret is the service's CACHE_SECRET.
func cacheSecret() string {
	return base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes ..."))
}

// harness runs the service with all that a row needs. Its methods are for the test's goroutine.
type harness struct {
	t *testing.T
	// One of these is not nil, as the row's mode says.
	redis    *cachetest.RedisServer
	sentinel *cachetest.Sentinel
	cluster  *cachetest.Cluster

	proxy     *proxy // between the service and Redis, or nil
	authentik *authentik
	service   *service
	traffic   *traffic
}

// newHarness starts everything but the traffic. Some of the codes expire at ends, and seed determines
// the order in which they are asked for.
func newHarness(t *testing.T, binary string, f fault, ends time.Time, seed uint64, settings ...string) *harness {
	t.Helper()
	h := &harness{t: t, authentik: startAuthentik(t)}
	h.service = startService(t, binary, append(settings,
		"AUTHENTIK_URL=http://"+h.authentik.addr,
		"REDIS_MODE="+string(f.mode),
		"REDIS_URL="+h.startRedis(f),
		"CACHE_SECRET="+cacheSecret(),
		"CACHE_TTL="+cacheTTL.String(),
		"CACHE_STALE_IF_ERROR=30s",
		"UPSTREAM_TIMEOUT="+upstreamTimeout.String(),
		"LOG_LEVEL=info",
	)...)
	h.traffic = newTraffic(t, h.service.addr, newFixture(h.authentik.Authentik, ends, seed), secrets())
	return h
}

// secrets returns what no response and no log line may hold.
func secrets() []string {
	return []string{redisPassword, cacheSecret(), upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenRoot}
}

// startRedis starts Redis in the row's mode and returns its address for the service.
func (h *harness) startRedis(f fault) (url string) {
	h.t.Helper()
	args := []string{"--requirepass", redisPassword}
	switch f.mode {
	case cache.Sentinel:
		h.sentinel = cachetest.StartSentinel(h.t, args...)
		return h.sentinel.URL()
	case cache.Cluster:
		h.cluster = cachetest.StartCluster(h.t, args...)
		return h.cluster.URL()
	}
	h.redis = cachetest.StartRedis(h.t, args...)
	if f.proxied {
		h.proxy = startProxy(h.t, h.redis.Addr())
		return strings.Replace(h.redis.URL(), h.redis.Addr(), h.proxy.addr(), 1)
	}
	return h.redis.URL()
}

// masters returns the servers that accept writes now.
func (h *harness) masters() []*cachetest.RedisServer {
	h.t.Helper()
	switch {
	case h.sentinel != nil:
		return []*cachetest.RedisServer{h.sentinel.Primary()}
	case h.cluster != nil:
		// These keys are in the slots of three different masters.
		return []*cachetest.RedisServer{h.cluster.MasterOf("a"), h.cluster.MasterOf("b"), h.cluster.MasterOf("c")}
	}
	return []*cachetest.RedisServer{h.redis}
}

// admin sends a command to the standalone Redis with its current password.
func (h *harness) admin(password string, command ...any) any {
	h.t.Helper()
	return h.command(h.redis, password, command...)
}

func (h *harness) command(server *cachetest.RedisServer, password string, command ...any) any {
	h.t.Helper()
	rc := redis.NewClient(&redis.Options{Addr: server.Addr(), Password: password})
	defer func() { _ = rc.Close() }()
	reply, err := rc.Do(h.t.Context(), command...).Result()
	if err != nil {
		h.t.Fatalf("%v: %v", command[0], err)
	}
	return reply
}

// waitForRedis waits until the service stores something on every emptied master. Responses do not show
// whether it does.
func (h *harness) waitForRedis() {
	h.t.Helper()
	for _, server := range h.masters() {
		h.command(server, redisPassword, "FLUSHALL")
		cachetest.Eventually(h.t, "the service uses Redis", func() bool {
			return h.command(server, redisPassword, "DBSIZE") != int64(0)
		})
	}
}

// changePassword changes Redis's password and closes all connections: Redis keeps those that
// authenticated with the old one.
func (h *harness) changePassword(from, to string) {
	h.t.Helper()
	h.admin(from, "CONFIG", "SET", "requirepass", to)
	h.admin(to, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
}

// authentik is a fake one that can be killed and restarted at the same address.
type authentik struct {
	*upstreamtest.Authentik
	t      *testing.T
	addr   string
	server *http.Server
	closed chan struct{} // closed when server no longer accepts connections
}

func startAuthentik(t *testing.T) *authentik {
	t.Helper()
	a := &authentik{Authentik: upstreamtest.New(upstreamtest.Options{}), t: t, addr: "127.0.0.1:0"}
	a.SetLatency(authentikLatency)
	a.open()
	t.Cleanup(func() {
		a.Close() // ends hanging requests
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.server.Shutdown(ctx); err != nil {
			t.Errorf("stop authentik: %v", err)
		}
		<-a.closed
	})
	return a
}

// open listens, at the previous address if there is one.
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
	a.addr, a.server, a.closed = listener.Addr().String(), server, ended
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
	<-a.closed
}

// dropIdle closes idle connections, which would keep goroutines of the service alive.
func (a *authentik) dropIdle() {
	a.server.SetKeepAlivesEnabled(false)
	a.server.SetKeepAlivesEnabled(true)
}

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/app"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// balancer sends requests to its replicas in turn. It skips a replica that refuses the connection, but does
// not send a request twice.
type balancer struct {
	transport http.Transport
	mu        sync.Mutex
	replicas  []*servicetest.Service
	next      int
	killed    map[string]bool // addresses
	inKilled  int             // requests that were lost with a killed replica
}

func (b *balancer) add(s *servicetest.Service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = append(b.replicas, s)
}

// remove removes the oldest replica, which may be about to be killed.
func (b *balancer) remove(kill bool) *servicetest.Service {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.replicas[0]
	if kill {
		b.killed[s.Addr] = true // its address stays: the balancer does not know yet
	}
	b.replicas = append(b.replicas[1:], s)
	if !kill {
		b.replicas = b.replicas[:len(b.replicas)-1]
	}
	return s
}

// turn returns all addresses, beginning with the next one.
func (b *balancer) turn() (addrs []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	for i := range b.replicas {
		addrs = append(addrs, b.replicas[(b.next+i)%len(b.replicas)].Addr)
	}
	return addrs
}

// RoundTrip implements [http.RoundTripper].
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	for _, addr := range b.turn() {
		r := r.Clone(r.Context())
		r.URL, r.Body = &url.URL{Scheme: "http", Host: addr, Path: r.URL.Path}, io.NopCloser(bytes.NewReader(body))
		resp, err := b.transport.RoundTrip(r)
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			continue
		}
		if err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.killed[addr] {
				b.inKilled++
				return &http.Response{StatusCode: http.StatusBadGateway, Body: http.NoBody, Header: http.Header{"X-Killed": {"true"}}}, nil
			}
		}
		return resp, err
	}
	return nil, errors.New("no replica takes connections")
}

// TestReplicas kills, stops and replaces three processes that share a Redis Cluster, under load. Only
// requests of a killed process may fail, and authentik is called as often as by one process.
func TestReplicas(t *testing.T) {
	t.Parallel()
	const codes, perCode, workers = 240, 25, 24
	cluster := cachetest.StartCluster(t)
	up := startFake(t, upstreamtest.Options{})
	up.SetLatency(5 * time.Millisecond)
	for pk := range int32(codes) {
		up.AddCode(upstreamtest.Code{PK: 1 + pk, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
	}
	binary := servicetest.Build(t)
	start := func() *servicetest.Service {
		return servicetest.Start(t, binary, nil, "AUTHENTIK_URL="+up.URL, "CACHE_TTL=1h", "REDIS_URL="+cluster.URL(), "REDIS_MODE=cluster",
			"CACHE_SECRET=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
			"SHUTDOWN_DELAY=500ms") // the kernel resets connections that are opened as the listener closes
	}
	b := &balancer{killed: map[string]bool{}}
	for range 3 {
		b.add(start())
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: b})
	t.Cleanup(front.Close)

	var (
		failed []string
		mu     sync.Mutex
		all    sync.WaitGroup
	)
	ask := func(pk int) {
		got, err := http.DefaultClient.Do(newQuery(t, front.URL, upstreamtest.TokenAlice, fmt.Sprintf(`{ authorizationCode(id: %d) { id scope } }`, pk)))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = got.Body.Close() }()
		body, err := io.ReadAll(got.Body)
		if got.Header.Get("X-Killed") == "" && (err != nil || got.StatusCode != http.StatusOK || !strings.Contains(string(body), fmt.Sprintf(`"id":"%d"`, pk))) {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, fmt.Sprintf("%d %s %v", got.StatusCode, body, err))
		}
	}
	requests := make(chan int)
	for range workers {
		all.Go(func() {
			for pk := range requests {
				ask(pk)
			}
		})
	}
	// By number of the request: a replica is killed and replaced later; one is replaced first and then
	// stopped; one is killed.
	events := map[int]func(){
		1000: func() { _ = b.remove(true).End(syscall.SIGKILL) },
		2000: func() { b.add(start()) },
		3000: func() {
			b.add(start())
			if err := b.remove(false).End(syscall.SIGTERM); err != nil {
				t.Errorf("a replica ended with %v", err)
			}
		},
		4000: func() { _ = b.remove(true).End(syscall.SIGKILL) },
	}
	reached := make(chan func(), len(events))
	go func() {
		defer close(reached)
		defer close(requests)
		for n := range codes * perCode {
			if event := events[n]; event != nil {
				reached <- event
			}
			requests <- 1 + n/perCode
		}
	}()
	for event := range reached {
		event()
	}
	all.Wait()
	again := 0
	for pk := range int32(codes) {
		again += up.Retrieves(1+pk) - 1
	}
	t.Logf("%d requests, %d failed, %d were with replicas that were killed; authentik was asked for %d codes %d times more than once",
		codes*perCode, len(failed), b.inKilled, codes, again)
	if len(failed) > 0 {
		t.Errorf("failed: %q", failed[:min(3, len(failed))])
	}
	if len(b.killed) != 2 || slices.ContainsFunc(b.replicas, func(s *servicetest.Service) bool { return strings.Contains(s.Log.String(), `"level":"ERROR"`) }) {
		t.Errorf("%d were killed", len(b.killed))
	}
	if again < 0 || again > b.inKilled {
		t.Errorf("authentik was asked %d times more than for %d codes", again, codes)
	}
}

// TestTwoProcessesShareRedis: a second process with the same secret answers the same caller without a call.
func TestTwoProcessesShareRedis(t *testing.T) {
	t.Parallel()
	rs := cachetest.StartRedis(t)
	settings := []string{"REDIS_URL=" + rs.URL(), "CACHE_SECRET=" + testSecret, "CACHE_TTL=1h"}
	up, first := newWorld(t, upstreamtest.Options{}, settings...)
	same := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL)...)
	redacting := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL, "REDACT=User.username")...)

	ask := func(a *instance, token string, wantCalls int) reply {
		t.Helper()
		got := query(t, a.URL, token, aliceCode)
		if n := up.Retrieves(17); n != wantCalls {
			t.Errorf("%d calls, want %d; answer %s", n, wantCalls, got.Body)
		}
		return got
	}
	want := ask(first, upstreamtest.TokenAlice, 1)
	if got := ask(same, upstreamtest.TokenAlice, 1); string(got.Data) != string(want.Data) || got.Header.Get("Cache-Status")[:22] != "authentik-graphql; hit" {
		t.Errorf("the second process: %s %v", got.Body, got.Header)
	}
	if got := ask(same, upstreamtest.TokenBob, 2); got.Codes() != "NOT_FOUND" {
		t.Errorf("bob: %s", got.Body)
	}
	// A process with other redacted fields shares nothing.
	if got := ask(redacting, upstreamtest.TokenAlice, 3); string(got.Data) != `{"authorizationCode":{"id":"17","user":{"username":null}}}` {
		t.Errorf("redacting: %s", got.Body)
	}
}

// TestRefusedToAnotherProcess: what authentik has refused a caller through one process is not shown stale by another
// one, whose clock is ahead and which had it from a list.
func TestRefusedToAnotherProcess(t *testing.T) {
	t.Parallel()
	clock := cachetest.NewClock()
	up := startFake(t, upstreamtest.Options{Release: upstreamtest.R2026_8, Now: clock.Now})
	all, other := "", up.AddProvider(upstreamtest.Provider{})
	for i := range 6 {
		all += fmt.Sprintf(" p%d: oauth2Provider(id: %d) { clientId }", i, up.AddProvider(upstreamtest.Provider{}))
	}
	up.SetPermissions(upstreamtest.UserDave, upstreamtest.ViewProvider)
	settings := []string{"AUTHENTIK_URL=" + up.URL, "REDIS_URL=" + cachetest.StartRedis(t).URL(), "CACHE_SECRET=" + testSecret, "CACHE_PROVIDER_TTL=5s"}
	process := func(skew time.Duration) func(document string) string {
		s := openService(t, app.Options{Environ: settings, Now: func() time.Time { return clock.Now().Add(skew) }})
		return func(document string) string {
			body, _ := json.Marshal(map[string]string{"query": document})
			r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenDave)
			got := httptest.NewRecorder()
			s.Handler().ServeHTTP(got, r)
			return got.Body.String()
		}
	}
	ahead, behind := process(time.Second/2), process(-time.Second/2)
	document := fmt.Sprintf("{ oauth2Provider(id: %d) { clientId } }", other)
	if got := ahead("{" + all + " }"); strings.Contains(got, "errors") {
		t.Fatal(got)
	}
	up.SetPermissions(upstreamtest.UserDave)
	if got := behind(document); !strings.Contains(got, "FORBIDDEN") {
		t.Fatal(got)
	}
	clock.Advance(6 * time.Second)
	up.SetResourceFault(upstreamtest.Providers, upstreamtest.AllRequests, upstreamtest.Error500)
	if got := ahead(document); !strings.Contains(got, "FORBIDDEN") {
		t.Errorf("got %s", got)
	}
}

// TestRedisDiesUnderLoad: the loss of Redis causes no error.
func TestRedisDiesUnderLoad(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		lose func(*cachetest.RedisServer)
	}{
		{"killed", (*cachetest.RedisServer).Kill},
		{"stopped", (*cachetest.RedisServer).Stop},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rs := cachetest.StartRedis(t)
			_, a := newWorld(t, upstreamtest.Options{}, "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret, "CACHE_TTL=1ms")
			for i := range 30 {
				if i == 10 {
					tt.lose(rs)
				}
				if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
					t.Fatalf("request %d: %s", i, got.Body)
				}
			}
			<-a.Log.Contains("Redis cannot be used")
		})
	}
}

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// crowd sends requests to two processes: to the first, and to the second once the first refuses connections.
// It never sends a request twice, as HTTP allows.
type crowd struct {
	client   *http.Client
	urls     [2]string
	sent     atomic.Int64
	answered atomic.Int64
	second   atomic.Int64 // answers of the second process

	mu     sync.Mutex
	failed []string
}

// ask sends a request and records its outcome.
func (c *crowd) ask(document string) {
	for i, url := range c.urls {
		body := io.NopCloser(strings.NewReader(fmt.Sprintf(`{"query":%q}`, document))) // it cannot be read twice
		r, err := http.NewRequest(http.MethodPost, url+"/graphql", body)               //nolint:noctx // the client has a timeout
		if err != nil {
			c.fail(err)
			return
		}
		r.ContentLength = int64(len(fmt.Sprintf(`{"query":%q}`, document)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
		resp, err := c.client.Do(r)
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && i == 0 {
			continue // as a balancer does
		}
		c.sent.Add(1)
		if err != nil {
			c.fail(err)
			return
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(got), `"scope"`) {
			c.fail(fmt.Errorf("%d %s %w", resp.StatusCode, got, err))
			return
		}
		c.answered.Add(1)
		c.second.Add(int64(i))
		return
	}
}

func (c *crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, err.Error())
}

// TestReplacement: a process that is stopped under 500 requests a second, some of them slow, loses none.
func TestReplacement(t *testing.T) {
	t.Parallel()
	const (
		slow = 18
		// More connections than needed are opened before: one that is opened as the listener closes may be
		// reset, unless there is a SHUTDOWN_DELAY.
		connections, paced = 120, 2000
	)
	for _, tt := range []struct {
		name  string
		delay time.Duration
	}{{"at once", 0}, {"with a delay", 500 * time.Millisecond}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := startFake(t, upstreamtest.Options{})
			up.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
			up.AddCode(upstreamtest.Code{PK: slow, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
			up.SetFault(slow, upstreamtest.Fault{Name: "slow", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				select {
				case <-time.After(1500 * time.Millisecond):
				case <-r.Context().Done():
				}
				next.ServeHTTP(w, r)
			}})
			binary := servicetest.Build(t)
			settings := []string{"AUTHENTIK_URL=" + up.URL, "CACHE_TTL=0s", "SHUTDOWN_DELAY=" + tt.delay.String()}
			first, second := servicetest.Start(t, binary, nil, settings...), servicetest.Start(t, binary, nil, settings...)
			transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
			defer transport.CloseIdleConnections()
			c := &crowd{client: &http.Client{Transport: transport, Timeout: 20 * time.Second}, urls: [2]string{first.URL, second.URL}}

			var all sync.WaitGroup
			for range connections {
				all.Go(func() { c.ask(fmt.Sprintf(`{ authorizationCode(id: %d) { scope } }`, slow)) })
			}
			all.Wait()
			pace := time.NewTicker(2 * time.Millisecond)
			defer pace.Stop()
			ended := make(chan error, 1)
			for i := range paced {
				<-pace.C
				if i == 750 {
					all.Go(func() { ended <- first.End(syscall.SIGTERM) })
				}
				document := `{ authorizationCode(id: 17) { scope } }`
				if i%25 == 0 {
					document = fmt.Sprintf(`{ authorizationCode(id: %d) { scope } }`, slow)
				}
				all.Go(func() { c.ask(document) })
			}
			all.Wait()
			t.Logf("sent %d, answered %d (%d by the second process), failed %d", c.sent.Load(), c.answered.Load(), c.second.Load(), len(c.failed))
			if err := <-ended; err != nil {
				t.Errorf("the process ended with %v", err)
			}
			if len(c.failed) > 0 || c.answered.Load() != connections+paced {
				t.Errorf("failed: %q", c.failed[:min(3, len(c.failed))])
			}
			if n := c.second.Load(); n == 0 || n == paced {
				t.Errorf("the second process answered %d", n)
			}
		})
	}
}

// TestSecondSignal: a second signal ends a process that waits for a request.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	up := startFake(t, upstreamtest.Options{})
	arrived := make(chan struct{})
	up.SetFault(17, upstreamtest.Fault{Name: "held", Serve: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		close(arrived)
		<-r.Context().Done()
	}})
	s := servicetest.Start(t, servicetest.Build(t), nil, "AUTHENTIK_URL="+up.URL)
	go func() {
		resp, err := http.DefaultClient.Do(newQuery(t, s.URL, upstreamtest.TokenAlice, aliceCode))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-arrived
	if err := syscall.Kill(s.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	cachetest.Eventually(t, "the process drains", func() bool { return strings.Contains(s.Log.String(), `"msg":"draining"`) })
	err, ok := errors.AsType[*exec.ExitError](s.End(syscall.SIGTERM))
	if !ok || err.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM || strings.Contains(s.Log.String(), `"msg":"stopped"`) {
		t.Errorf("it ended with %v\n%s", err, s.Log)
	}
}

// TestShutdownGivesLeasesBack: a process waits for its loads in the background, and releases their leases.
func TestShutdownGivesLeasesBack(t *testing.T) {
	t.Parallel()
	server := cachetest.StartRedis(t)
	up, a := newWorld(t, upstreamtest.Options{}, "REDIS_URL="+server.URL(), "CACHE_SECRET=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		"CACHE_TTL=50ms", "CACHE_STALE_WHILE_REVALIDATE=1h")
	keys := func() int64 {
		t.Helper()
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		defer func() { _ = client.Close() }()
		n, err := client.DBSize(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	_ = query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	before := keys()
	held, arrived, release := hold()
	up.SetFault(17, held)
	for asked := false; !asked; { // until the cached entry is stale and is revalidated
		if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
			t.Fatalf("%s", got.Body)
		}
		select {
		case <-arrived:
			asked = true
		default:
		}
	}
	if n := keys(); n != before+1 {
		t.Fatalf("%d keys and no lease, %d before", n, before)
	}
	a.stop()
	<-a.Log.Contains(`"msg":"draining"`)
	release()
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if n := keys(); n != before {
		t.Errorf("%d keys after the end, %d before the load", n, before)
	}
}

// startDraining stops a service while a request waits for authentik, which answers once goOn is called.
func startDraining(t *testing.T) (a *instance, goOn func(), answered chan reply) {
	t.Helper()
	up, a := newWorld(t, upstreamtest.Options{})
	held, arrived, goOn := hold()
	t.Cleanup(goOn)
	up.SetFault(17, held)
	answered = make(chan reply, 1)
	go func() { answered <- query(t, a.URL, upstreamtest.TokenAlice, aliceCode) }()
	<-arrived
	a.stop()
	<-a.Log.Contains(`"msg":"draining"`)
	return a, goOn, answered
}

// TestGracefulStop: a request that runs at the signal is answered, and later ones are not accepted.
func TestGracefulStop(t *testing.T) {
	a, goOn, answered := startDraining(t)
	goOn()
	if got := <-answered; len(got.Errors) > 0 {
		t.Errorf("the running request: %s", got.Body)
	}
	if err := a.Stop(); err != nil {
		t.Errorf("run returned %v", err)
	}
	if resp, err := http.Get(a.URL + "/healthz"); err == nil { //nolint:noctx // must fail
		_ = resp.Body.Close()
		t.Error("the stopped service still answers")
	}
}

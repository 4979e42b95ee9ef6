//go:build linux

package faults

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

const (
	stampedeProcesses = 3
	// stampedeTimeout bounds every wait. So many requests keep a small machine busy for seconds before
	// the last one is even read.
	stampedeTimeout = 60 * time.Second
)

// TestStampede: however many requests ask several processes at once for a code that is not cached,
// authentik is called once for each caller. Without Redis it is called once for each caller and process.
func TestStampede(t *testing.T) {
	requests := 1500
	if *full {
		requests = 10_000
	}
	s := newStampede(t, requests)
	all := callers()
	s.run("one caller", 1, all[:1])
	s.run("three callers", 3, all)
	s.redis.Kill()
	s.run("one caller, without Redis", stampedeProcesses, all[:1])
}

// stampede is several processes with one Redis and one authentik, and a connection for each request.
type stampede struct {
	t         *testing.T
	redis     *cachetest.RedisServer
	authentik *authentik
	services  []*service
	conns     []*connection
}

func newStampede(t *testing.T, requests int) *stampede {
	t.Helper()
	// The processes need fewer files, and like this one raise their limit as far as they may.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < uint64(requests)+200 {
		t.Fatalf("%d connections, and only %d files may be open (%v)", requests, files.Cur, err)
	}
	s := &stampede{t: t, redis: cachetest.StartRedis(t, "--requirepass", redisPassword), authentik: startAuthentik(t)}
	binary := build(t)
	for range stampedeProcesses {
		s.services = append(s.services, startService(t, binary,
			"AUTHENTIK_URL=http://"+s.authentik.addr,
			"REDIS_URL="+s.redis.URL(),
			"CACHE_SECRET="+cacheSecret(),
			// A late request gets the same answer: calls are counted, not the machine's speed.
			"CACHE_TTL="+stampedeTimeout.String(),
			"CACHE_NEGATIVE_TTL="+stampedeTimeout.String(),
			"UPSTREAM_TIMEOUT="+stampedeTimeout.String(),
		))
	}
	// So many connections at once would be refused.
	for i := range requests {
		s.conns = append(s.conns, openConnection(t, s.services[i%len(s.services)].addr))
	}
	return s
}

// run asks over all connections at once for a new code. authentik answers once every request waits for
// it. It must be called at least once for each caller, and at most as often as calls says.
func (s *stampede) run(name string, calls int, callers []caller) {
	s.t.Helper()
	code, _ := s.authentik.Code(s.authentik.AddCode(upstreamtest.Code{
		Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour),
	}))
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	s.authentik.SetFault(code.PK, heldUntil(released))

	outcomes := make([]outcome, len(s.conns))
	start := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer release() // if the test ends early
	var answered atomic.Int64
	for i, c := range s.conns {
		// Connections rotate over the processes, callers over the rounds: each asks every process.
		q := lookup{caller: callers[i/len(s.services)%len(callers)], code: code}.request()
		running.Go(func() {
			<-start
			outcomes[i] = c.send(q, time.Now())
			answered.Add(1)
		})
	}
	close(start)
	for began := time.Now(); s.waiting()+int(answered.Load()) < len(s.conns) && time.Since(began) < stampedeTimeout/2; {
		wait(100 * time.Millisecond)
	}
	early, waited := answered.Load(), s.waiting()
	releasedAt := time.Now()
	release()
	running.Wait()

	right, longest, last := 0, time.Duration(0), time.Time{}
	for _, o := range outcomes {
		if longest = max(longest, o.took); o.begun.Add(o.took).After(last) {
			last = o.begun.Add(o.took)
		}
		if o.healthy() {
			right++
		} else if wrong := len(outcomes) - right; wrong <= maxExamples {
			s.t.Errorf("%s: %+v", name, o)
		}
	}
	got := s.authentik.Retrieves(code.PK)
	if got < len(callers) || got > calls {
		s.t.Errorf("%s: %d calls, want %d", name, got, calls)
	}
	if right < len(outcomes) || early > 0 {
		s.t.Errorf("%s: %d of %d responses are right, %d came before authentik's", name, right, len(outcomes), early)
	}
	fmt.Printf("stampede of %s: %d requests over %d connections to %d processes, %d waiting at once; calls: %d; longest wait: %s, of it after authentik's answer: %s; peak memory, MiB: %s\n",
		name, len(outcomes), len(s.conns), len(s.services), waited, got, milliseconds(longest), milliseconds(last.Sub(releasedAt)), s.peaks())
}

// heldUntil delays right answers until released is closed.
func heldUntil(released <-chan struct{}) upstreamtest.Fault {
	return upstreamtest.Fault{Name: "held", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
		next.ServeHTTP(w, r)
	}}
}

// waiting returns how many requests wait in the caches of all processes.
func (s *stampede) waiting() (n int) {
	s.t.Helper()
	for _, service := range s.services {
		_, profile := service.goroutines()
		_, stacks, _ := strings.Cut(profile, "\n")
		for stack := range strings.SplitSeq(stacks, "\n\n") {
			var same int
			if _, err := fmt.Sscanf(stack, "%d @", &same); err == nil && strings.Contains(stack, "authentik-graphql/cache.(*Cache[...]).Get+") {
				n += same
			}
		}
	}
	return n
}

// peaks lists the peak memory of each process.
func (s *stampede) peaks() string {
	s.t.Helper()
	var all []string
	for _, service := range s.services {
		_, peak := service.memory()
		all = append(all, fmt.Sprint(peak))
	}
	return strings.Join(all, ", ")
}

// connection is an open connection of a caller. In HTTP/1.1 simultaneous requests need one each, and
// net/http's transport would open all of them at the moment of the stampede.
type connection struct {
	*traffic
	conn net.Conn
	in   *bufio.Reader
}

var _ http.RoundTripper = (*connection)(nil)

// openConnection connects to the service and sends one request, so that the service counts the connection
// as idle and not as one that never sent a header.
func openConnection(t *testing.T, addr string) *connection {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: clientTimeout}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &connection{conn: conn, in: bufio.NewReader(conn)}
	c.traffic = &traffic{url: "http://" + addr + "/graphql", client: &http.Client{Transport: c}, secrets: secrets()}
	resp, err := c.client.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return c
}

// RoundTrip implements [http.RoundTripper].
func (c *connection) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(stampedeTimeout)); err != nil {
		return nil, err
	}
	if err := r.Write(c.conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.in, r)
}

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
	stormProcesses = 3
	// stormTimeout is how long authentik, and all who wait for it, may take: so many requests keep
	// a small machine busy for seconds before the last one is even read.
	stormTimeout = 60 * time.Second
)

// TestStorm: however many ask at once for what no cache has, over however many processes, authentik
// is asked once for each caller. Without Redis, once for each caller in each process.
func TestStorm(t *testing.T) {
	requests := 1500
	if *full {
		requests = 10_000
	}
	s := newStorm(t, requests)
	all := callers()
	s.blow("one caller", 1, all[:1])
	s.blow("three callers", 3, all)
	s.redis.Kill()
	s.blow("one caller, without Redis", stormProcesses, all[:1])
}

// storm is callers who ask all at once, each over a connection of its own, of several processes with
// one Redis and one authentik.
type storm struct {
	t         *testing.T
	redis     *cachetest.RedisServer
	authentik *authentik
	services  []*service
	lines     []*line
}

// newStorm starts everything, with a line for each request.
func newStorm(t *testing.T, requests int) *storm {
	t.Helper()
	// The processes need less, and like this one raise their own limit as far as they may.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < uint64(requests)+200 {
		t.Fatalf("%d connections, and only %d files may be open (%v)", requests, files.Cur, err)
	}
	s := &storm{t: t, redis: cachetest.StartRedis(t, "--requirepass", redisPassword), authentik: startAuthentik(t)}
	binary := build(t)
	for range stormProcesses {
		s.services = append(s.services, startService(t, binary,
			"AUTHENTIK_URL=http://"+s.authentik.addr,
			"REDIS_URL="+s.redis.URL(),
			"CACHE_SECRET="+cacheSecret(),
			// Whoever is late gets the same answer: it is calls that are counted, not how fast the
			// machine is.
			"CACHE_TTL="+stormTimeout.String(),
			"CACHE_NEGATIVE_TTL="+stormTimeout.String(),
			"UPSTREAM_TIMEOUT="+stormTimeout.String(),
		))
	}
	// One after the other: so many at once would be refused.
	for i := range requests {
		s.lines = append(s.lines, openLine(t, s.services[i%len(s.services)].addr))
	}
	return s
}

// blow asks over all lines at once for a code that nobody asked for before. authentik answers when
// every request waits for it. calls is how often it may be asked, and no less than once for each
// caller.
func (s *storm) blow(name string, calls int, callers []caller) {
	s.t.Helper()
	code, _ := s.authentik.Code(s.authentik.AddCode(upstreamtest.Code{
		Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour),
	}))
	answer := make(chan struct{})
	let := sync.OnceFunc(func() { close(answer) })
	s.authentik.SetFault(code.PK, held(answer))

	outcomes := make([]outcome, len(s.lines))
	start := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer let() // if the test ends before
	var answered atomic.Int64
	for i, l := range s.lines {
		// Lines take turns with the processes, callers with the turns: each asks all processes.
		q := ask{caller: callers[i/len(s.services)%len(callers)], code: code}.question()
		running.Go(func() {
			<-start
			outcomes[i] = l.send(q, time.Now())
			answered.Add(1)
		})
	}
	close(start)
	for began := time.Now(); s.waiting()+int(answered.Load()) < len(s.lines) && time.Since(began) < stormTimeout/2; {
		wait(100 * time.Millisecond)
	}
	early, waited := answered.Load(), s.waiting()
	came := time.Now()
	let()
	running.Wait()

	right, longest, last := 0, time.Duration(0), time.Time{}
	for _, o := range outcomes {
		if longest = max(longest, o.took); o.begun.Add(o.took).After(last) {
			last = o.begun.Add(o.took)
		}
		if o.well() {
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
		s.t.Errorf("%s: %d of %d answers are right, %d came before authentik's", name, right, len(outcomes), early)
	}
	fmt.Printf("storm of %s: %d requests over %d connections of %d processes, %d waiting at once; calls: %d; longest wait: %s, of it after authentik's answer: %s; memory at its peak, MiB: %s\n",
		name, len(outcomes), len(s.lines), len(s.services), waited, got, milliseconds(longest), milliseconds(last.Sub(came)), s.peaks())
}

// held is an authentik that answers properly, but not before it is let.
func held(let <-chan struct{}) upstreamtest.Fault {
	return upstreamtest.Fault{Name: "held", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-let:
		case <-r.Context().Done():
		}
		next.ServeHTTP(w, r)
	}}
}

// waiting is how many requests wait in the caches of all processes.
func (s *storm) waiting() (n int) {
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

// peaks are the most memory that each process had.
func (s *storm) peaks() string {
	s.t.Helper()
	var all []string
	for _, service := range s.services {
		_, peak := service.memory()
		all = append(all, fmt.Sprint(peak))
	}
	return strings.Join(all, ", ")
}

// line is a caller's connection that stays open. HTTP/1.1 answers one request at a time on each, so
// requests at once need as many. The transport of net/http opens them only while they are needed,
// all at once.
type line struct {
	*traffic
	conn net.Conn
	in   *bufio.Reader
}

var _ http.RoundTripper = (*line)(nil)

// openLine connects to the service and has one request answered, so that the service takes the
// connection for one that is idle, not for one that never says anything.
func openLine(t *testing.T, addr string) *line {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: clientTimeout}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l := &line{conn: conn, in: bufio.NewReader(conn)}
	l.traffic = &traffic{url: "http://" + addr + "/graphql", client: &http.Client{Transport: l}, secrets: secrets()}
	resp, err := l.client.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return l
}

// RoundTrip implements [http.RoundTripper].
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.conn.SetDeadline(time.Now().Add(stormTimeout)); err != nil {
		return nil, err
	}
	if err := r.Write(l.conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(l.in, r)
}

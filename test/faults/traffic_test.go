//go:build linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"
)

const (
	requestsPerSecond = 200
	clientTimeout     = 15 * time.Second
)

// outcome is the result of one request.
type outcome struct {
	result
	kind      string
	transport transport
	begun     time.Time
	took      time.Duration
	want      string        // the code of the error that is right, if one is
	extraTime time.Duration // how much longer than others it may take
	cancelled bool          // the client did not wait for the response
	failure   error         // there was no response
	wrong     error         // why no caller may get this response
}

// good reports whether the caller got a right response, which is a refusal for another caller's code.
func (o outcome) good() bool {
	return o.failure == nil && o.wrong == nil && (o.data || o.cancelled || o.want != "" && o.code == o.want)
}

// healthy reports whether the outcome is as without a fault.
func (o outcome) healthy() bool { return o.good() && !o.stale }

// traffic is an open loop of requests at a steady rate: a slow response does not delay later requests.
type traffic struct {
	url      string
	client   *http.Client
	fixture  *fixture
	next     func() request // for one goroutine
	secrets  []string
	cancel   context.CancelFunc
	running  sync.WaitGroup // the schedule and every request
	clockLag time.Duration  // the most that the schedule was late, to be read after stop

	mu       sync.Mutex
	outcomes []outcome
	pending  map[int]time.Time // when each request without an outcome was begun
}

// newTraffic prepares traffic for the service at addr. It is stopped with the test.
func newTraffic(t *testing.T, addr string, f *fixture, secrets []string) *traffic {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}
	tr := &traffic{
		url:     "http://" + addr + "/graphql",
		client:  &http.Client{Transport: transport, Timeout: clientTimeout},
		fixture: f,
		next:    func() request { return f.next().request() },
		secrets: secrets,
		cancel:  func() {},
		pending: map[int]time.Time{},
	}
	t.Cleanup(func() { tr.stop() })
	return tr
}

// start sends requests until stop.
func (tr *traffic) start() {
	ctx, cancel := context.WithCancel(context.Background())
	tr.cancel, tr.clockLag, tr.outcomes = cancel, 0, nil
	tr.running.Go(func() { tr.schedule(ctx) })
}

// stop waits for the pending responses, closes the connections and returns all outcomes since start.
func (tr *traffic) stop() []outcome {
	tr.cancel()
	tr.running.Wait()
	tr.client.CloseIdleConnections()
	return tr.outcomes
}

// schedule begins the requests. On a busy machine they begin late, but none is left out.
func (tr *traffic) schedule(ctx context.Context) {
	tick := time.NewTicker(time.Second / requestsPerSecond)
	defer tick.Stop()
	start, begun := time.Now(), 0
	for last := start; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		tr.clockLag = max(tr.clockLag, now.Sub(last)-time.Second/requestsPerSecond)
		last = now
		for due := int(now.Sub(start).Seconds() * requestsPerSecond); begun < due; begun++ {
			n, q := begun, tr.next()
			tr.running.Go(func() { tr.request(n, q) })
		}
	}
}

// request sends the n-th request and keeps its outcome.
func (tr *traffic) request(n int, q request) {
	begun := time.Now()
	tr.mu.Lock()
	tr.pending[n] = begun
	tr.mu.Unlock()
	o := tr.send(q, begun)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	delete(tr.pending, n)
	tr.outcomes = append(tr.outcomes, o)
}

// send sends a request. A persisted query that the service does not know is sent again with its text, as
// clients do.
func (tr *traffic) send(q request, begun time.Time) outcome {
	o := outcome{kind: q.kind, transport: q.transport, begun: begun, want: q.want, extraTime: q.extraTime}
	r := response{begun: begun}
	r.status, r.header, r.body, o.failure = tr.do(q)
	r.ended = time.Now()
	o.took = r.ended.Sub(begun)
	switch {
	case errors.Is(o.failure, errCancelled):
		o.cancelled, o.failure = true, nil
	case o.failure == nil && q.transport == viaHash && bytes.Contains(r.body, []byte(codeNotPersisted)):
		q.transport = viaHashAndText
		return tr.send(q, begun)
	case o.failure == nil:
		o.result, o.wrong = r.check(q, tr.secrets)
	}
	return o
}

// errCancelled is the failure of a request whose client did not wait for the response.
var errCancelled = errors.New("the client closed the connection")

func (tr *traffic) do(q request) (status int, header http.Header, body []byte, err error) {
	ctx := context.Background()
	if q.giveUpAfter > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.giveUpAfter)
		defer cancel()
	}
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errCancelled
		}
	}()
	req, err := q.httpRequest(ctx, tr.url)
	if err != nil {
		return 0, nil, nil, err
	}
	resp, err := tr.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = content(resp)
	return resp.StatusCode, resp.Header, body, err
}

// inFlight returns how many requests have no response yet.
func (tr *traffic) inFlight() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.pending)
}

// healthy reports whether all requests of the last d were healthy. A pending one counts as unhealthy once
// it takes longer than usual.
func (tr *traffic) healthy(d time.Duration) bool {
	const usual = 250 * time.Millisecond
	now := time.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, begun := range tr.pending {
		if now.Sub(begun) > usual {
			return false
		}
	}
	for _, o := range tr.outcomes {
		if now.Sub(o.begun) < d && !o.healthy() {
			return false
		}
	}
	return true
}

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

// outcome is what became of one request.
type outcome struct {
	reading
	kind  string
	way   way
	begun time.Time
	took  time.Duration
	want  string // the code of the error that is right, if one is
	// longer is how much longer than others it may take.
	longer time.Duration
	left   bool  // the client did not wait for the answer
	lost   error // there was no answer
	wrong  error // there was one that nobody may get
}

// good tells whether the caller got what it asked for, which is a refusal for another's code.
func (o outcome) good() bool {
	return o.lost == nil && o.wrong == nil && (o.data || o.left || o.want != "" && o.code == o.want)
}

// well tells whether that is how it is when nothing is broken.
func (o outcome) well() bool { return o.good() && !o.stale }

// traffic is callers who ask at a steady rate, whether or not they were answered before: an answer
// that takes long does not keep others from being asked for, as it would if few callers took turns.
type traffic struct {
	url     string
	client  *http.Client
	fixture *fixture
	next    func() question // for one goroutine
	secrets []string
	cancel  context.CancelFunc
	running sync.WaitGroup // the clock and every request
	behind  time.Duration  // the most that the clock was, to be read after stop

	mu       sync.Mutex
	outcomes []outcome
	flying   map[int]time.Time // when each request without an outcome was begun
}

// newTraffic makes callers of the service at addr; they are stopped with the test.
func newTraffic(t *testing.T, addr string, f *fixture, secrets []string) *traffic {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}
	tr := &traffic{
		url:     "http://" + addr + "/graphql",
		client:  &http.Client{Transport: transport, Timeout: clientTimeout},
		fixture: f,
		next:    func() question { return f.next().question() },
		secrets: secrets,
		cancel:  func() {},
		flying:  map[int]time.Time{},
	}
	t.Cleanup(func() { tr.stop() })
	return tr
}

// start lets them ask until stop.
func (tr *traffic) start() {
	ctx, cancel := context.WithCancel(context.Background())
	tr.cancel, tr.behind, tr.outcomes = cancel, 0, nil
	tr.running.Go(func() { tr.clock(ctx) })
}

// stop ends the asking, waits for what is not answered yet, closes the connections and returns all
// outcomes since the start.
func (tr *traffic) stop() []outcome {
	tr.cancel()
	tr.running.Wait()
	tr.client.CloseIdleConnections()
	return tr.outcomes
}

// clock begins the requests. Those whose time has passed while the machine was busy are begun late,
// not left out.
func (tr *traffic) clock(ctx context.Context) {
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
		tr.behind = max(tr.behind, now.Sub(last)-time.Second/requestsPerSecond)
		last = now
		for due := int(now.Sub(start).Seconds() * requestsPerSecond); begun < due; begun++ {
			n, q := begun, tr.next()
			tr.running.Go(func() { tr.request(n, q) })
		}
	}
}

// request makes the n-th request and keeps its outcome.
func (tr *traffic) request(n int, q question) {
	begun := time.Now()
	tr.mu.Lock()
	tr.flying[n] = begun
	tr.mu.Unlock()
	o := tr.send(q, begun)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	delete(tr.flying, n)
	tr.outcomes = append(tr.outcomes, o)
}

// send makes a request. A persisted query that the service does not know is sent again with its
// text, as clients do.
func (tr *traffic) send(q question, begun time.Time) outcome {
	o := outcome{kind: q.kind, way: q.way, begun: begun, want: q.want, longer: q.longer}
	a := answer{begun: begun}
	a.status, a.header, a.body, o.lost = tr.exchange(q)
	a.ended = time.Now()
	o.took = a.ended.Sub(begun)
	switch {
	case errors.Is(o.lost, errLeft):
		o.left, o.lost = true, nil
	case o.lost == nil && q.way == byHash && bytes.Contains(a.body, []byte(codeNotPersisted)):
		q.way = byHashAndText
		return tr.send(q, begun)
	case o.lost == nil:
		o.reading, o.wrong = a.read(q, tr.secrets)
	}
	return o
}

// errLeft is a client that did not wait for its answer.
var errLeft = errors.New("the client left")

func (tr *traffic) exchange(q question) (status int, header http.Header, body []byte, err error) {
	ctx := context.Background()
	if q.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.patience)
		defer cancel()
	}
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errLeft
		}
	}()
	req, err := q.request(ctx, tr.url)
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

// inFlight is how many requests are not answered yet.
func (tr *traffic) inFlight() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.flying)
}

// healthy tells whether all requests of the time d before now went well. One that takes longer than
// usual has not yet.
func (tr *traffic) healthy(d time.Duration) bool {
	const usual = 250 * time.Millisecond
	now := time.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, begun := range tr.flying {
		if now.Sub(begun) > usual {
			return false
		}
	}
	for _, o := range tr.outcomes {
		if now.Sub(o.begun) < d && !o.well() {
			return false
		}
	}
	return true
}

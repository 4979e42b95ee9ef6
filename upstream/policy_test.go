package upstream_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// healing is a fault of the first n requests.
func healing(n int64, fault upstreamtest.Fault) upstreamtest.Fault {
	var met atomic.Int64
	return upstreamtest.Fault{Name: fault.Name, Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if met.Add(1) > n {
			next.ServeHTTP(w, r)
			return
		}
		fault.Serve(w, r, next)
	}}
}

// TestFaultsThatPass checks calls whose first tries meet a fault, on real connections.
func TestFaultsThatPass(t *testing.T) {
	inASecond := upstreamtest.Fault{Name: "503 that asks for a second", Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}}
	const fine upstream.Kind = -1
	for _, tt := range []struct {
		fault   upstreamtest.Fault
		met     int64
		timeout time.Duration
		want    upstream.Kind
		sent    int
		least   time.Duration // at least
	}{
		{upstreamtest.Reset, 1, unhurried, fine, 2, 50 * time.Millisecond},
		{upstreamtest.Reset, 2, unhurried, fine, 3, 150 * time.Millisecond},
		{upstreamtest.Reset, 3, unhurried, upstream.Unavailable, 3, 150 * time.Millisecond},
		{upstreamtest.BackendDown502Text, 2, unhurried, fine, 3, 150 * time.Millisecond},
		{upstreamtest.CutJSON, 1, unhurried, fine, 2, 50 * time.Millisecond},
		{inASecond, 1, unhurried, fine, 2, time.Second},
		{upstreamtest.Starting503JSON, 1, 2 * time.Second, upstream.Unavailable, 1, 0},
		{upstreamtest.Error500, 1, unhurried, upstream.Failed, 1, 0},
		{upstreamtest.Hang, 1, hurried, upstream.Timeout, 1, hurried},
		{upstreamtest.WrongJSON, 1, unhurried, upstream.InvalidResponse, 1, 0},
	} {
		t.Run(tt.fault.Name, func(t *testing.T) {
			fake, server := authentik(t, upstreamtest.Options{})
			c := client(t, server.URL, timeout(tt.timeout))
			fake.SetFault(pk, healing(tt.met, tt.fault))
			start := time.Now()
			_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if took := time.Since(start); took < tt.least || took > tt.least+5*time.Second {
				t.Errorf("took %v", took)
			}
			if tt.want != fine {
				wantKind(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
			if s := c.Stats(); fake.Retrieves(pk) != tt.sent || s.Calls != int64(tt.sent) || s.Retries != int64(tt.sent-1) {
				t.Errorf("%d requests, %+v", fake.Retrieves(pk), s)
			}
		})
	}
}

// TestKeptAliveConnectionIsNoRetry checks that what net/http repeats itself, after a worker's restart, is no
// failure of authentik.
func TestKeptAliveConnectionIsNoRetry(t *testing.T) {
	fake, server := authentik(t, upstreamtest.Options{})
	c := client(t, server.URL)
	fake.SetFault(pk, upstreamtest.DropKeptAlive)
	for range 30 {
		if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Calls != 30 || s.Retries != 0 || s.BreakerOpened != 0 {
		t.Errorf("%+v", s)
	}
}

// TestBreakerOverTheWire has authentik's database go down and come back.
func TestBreakerOverTheWire(t *testing.T) {
	fake, server := authentik(t, upstreamtest.Options{})
	c := client(t, server.URL)
	fake.SetFault(pk, upstreamtest.Error500)
	for range 20 {
		_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		wantKind(t, err, upstream.Failed)
	}
	opened := time.Now()
	_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
	e := wantKind(t, err, upstream.Unavailable)
	if e.RetryAfter <= 0 || e.RetryAfter > 2*time.Second || e.Status != 0 || !strings.Contains(e.Error(), "breaker") {
		t.Errorf("got %v, retry after %v", e, e.RetryAfter)
	}
	if s := c.Stats(); fake.Retrieves(pk) != 20 || s.BreakerState != "open" || s.BreakerOpened != 1 || s.Rejected != 1 {
		t.Errorf("%d requests, %+v", fake.Retrieves(pk), s)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("readiness: %v", err)
	}
	fake.ClearFaults()
	<-time.After(time.Until(opened.Add(e.RetryAfter)))
	if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
		t.Errorf("after the time it asked for: %v", err)
	}
	if s := c.Stats(); s.BreakerState != "closed" || s.BreakerOpened != 1 {
		t.Errorf("%+v", s)
	}
}

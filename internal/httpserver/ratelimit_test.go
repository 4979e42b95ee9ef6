package httpserver

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
	"authentik-graphql/graph"
	"authentik-graphql/internal/grants"
)

func TestAllowance(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	type step struct {
		after time.Duration // since the step before
		wait  time.Duration
	}
	tests := []struct {
		rate  float64
		steps []step
	}{
		// A burst of ten, then one every 200 ms.
		{5, []step{{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 200 * ms}, {50 * ms, 150 * ms}, {150 * ms, 0}, {0, 200 * ms}}},
		{5, []step{{0, 0}, {time.Hour, 0}}},
		{0.5, []step{{0, 0}, {0, 2 * s}, {500 * ms, 1500 * ms}, {1500 * ms, 0}, {time.Hour, 0}, {0, 2 * s}}},
		{0.001, []step{{0, 0}, {0, 1000 * s}, {999 * s, s}, {s, 0}}},
		{1, []step{{0, 0}, {0, 0}, {0, s}, {-time.Hour, s}}}, // a clock that goes back gives nothing
		{1e6, []step{{0, 0}, {0, 0}}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.rate), func(t *testing.T) {
			clock := cachetest.NewClock()
			l := newRateLimiter(tt.rate, clock.Now)
			for i, step := range tt.steps {
				clock.Advance(step.after)
				if got := l.take(callerKey{name: "a"}); (got - step.wait).Abs() > time.Microsecond {
					t.Errorf("step %d: wait %s, want %s", i, got, step.wait)
				}
			}
			if l.take(callerKey{name: "b"}) != 0 {
				t.Error("another caller has no allowance of their own")
			}
		})
	}
}

// TestLastCallersAreRemembered checks that of 20,001 callers none of the 10,000 who asked last gets a fresh
// burst. A cache that evicts by frequency would give one to half of them.
func TestLastCallersAreRemembered(t *testing.T) {
	now := time.Now()
	l := newRateLimiter(0.5, func() time.Time { return now })
	key := func(i int) callerKey { return callerKey{name: strconv.Itoa(i)} }
	for i := range 20001 {
		if l.take(key(i)) != 0 {
			t.Fatalf("caller %d has no burst", i)
		}
	}
	for i := 10001; i < 20001; i++ {
		if l.take(key(i)) == 0 {
			t.Fatalf("caller %d gets a fresh burst", i)
		}
	}
}

func TestWhoIsLimited(t *testing.T) {
	key := func(name, token, remote string) callerKey {
		req := &graph.Request{CallerName: name}
		if token != "" {
			req.Digest = cache.Caller([]byte(fmt.Sprintf("%-32s", token)))
		}
		return keyOf(req, remote)
	}
	same := func(what string, a, b callerKey, want bool) {
		t.Helper()
		if (a == b) != want {
			t.Errorf("%s: counted as the same is %t", what, a == b)
		}
	}
	same("a name with two tokens", key("n", "t1", "192.0.2.1:1"), key("n", "t2", "192.0.2.2:1"), true)
	same("two names with the service's token", key("n", "t", "192.0.2.1:1"), key("m", "t", "192.0.2.1:1"), false)
	same("a token from two places", key("", "t", "192.0.2.1:1"), key("", "t", "192.0.2.2:1"), true)
	same("two tokens from one place", key("", "t1", "192.0.2.1:1"), key("", "t2", "192.0.2.1:1"), false)
	same("no token, two ports", key("", "", "192.0.2.1:1"), key("", "", "192.0.2.1:2"), true)
	same("no token, two addresses", key("", "", "192.0.2.1:1"), key("", "", "192.0.2.2:1"), false)
	same("an IPv4 address in IPv6", key("", "", "192.0.2.1:1"), key("", "", "[::ffff:192.0.2.1]:1"), true)
	same("two hosts' worth of one IPv6 network", key("", "", "[2001:db8::1]:1"), key("", "", "[2001:db8::2:1]:1"), true)
	same("two IPv6 networks", key("", "", "[2001:db8:0:1::1]:1"), key("", "", "[2001:db8:0:2::1]:1"), false)
	same("a zone", key("", "", "[fe80::1%eth0]:1"), key("", "", "[fe80::1%eth1]:1"), true)
	same("an address and none", key("", "", "@"), key("", "", "192.0.2.1:1"), false)
}

// TestForgottenCallers checks that the caller whose last request is the oldest is forgotten first.
func TestForgottenCallers(t *testing.T) {
	l := newRateLimiter(0.5, cachetest.NewClock().Now)
	name := func(i int) callerKey { return callerKey{name: strconv.Itoa(i)} }
	for i := range maxRateCallers {
		l.take(name(i))
	}
	if l.take(name(0)) == 0 { // and called again
		t.Error("a caller was forgotten before there were too many")
	}
	l.take(name(maxRateCallers))
	if l.allowances.Len() != maxRateCallers {
		t.Errorf("%d callers are remembered", l.allowances.Len())
	}
	if l.take(name(0)) == 0 || l.take(name(2)) == 0 {
		t.Error("another than the longest ago was forgotten")
	}
	if l.take(name(1)) != 0 {
		t.Error("nobody was forgotten")
	}
}

// TestAllowedIsFree checks that a known caller within the limit allocates nothing.
func TestAllowedIsFree(t *testing.T) {
	l := newRateLimiter(1e6, time.Now)
	for name, req := range rateRequests() {
		allow := func() {
			if l.take(keyOf(req, "[2001:db8::1]:12345")) != 0 {
				t.Fatal("refused")
			}
		}
		if n := testing.AllocsPerRun(1000, allow); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRateLimit(b *testing.B) {
	l := newRateLimiter(1e6, time.Now)
	for name, req := range rateRequests() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.take(keyOf(req, "[2001:db8::1]:12345"))
			}
		})
	}
}

func rateRequests() map[string]*graph.Request {
	return map[string]*graph.Request{
		"name":    {CallerName: "grafana", Caller: grants.Caller{Digest: cache.Caller{1}}},
		"token":   {Caller: grants.Caller{Digest: cache.Caller{1}}},
		"address": {},
	}
}

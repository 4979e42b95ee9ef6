package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// cacheExtension returns extensions.cache, or nil.
func cacheExtension(t *testing.T, r reply) map[string]any {
	t.Helper()
	var body struct {
		Extensions map[string]map[string]any
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body.Extensions["cache"]
}

func wantHeader(t *testing.T, r reply, name, want string) {
	t.Helper()
	if got := r.Header.Get(name); got != want {
		t.Errorf("%s: got %q, want %q; body %s", name, got, want, r.Body)
	}
}

// askUntil repeats a query until its Cache-Status is the wanted one.
func askUntil(t *testing.T, url, token, document, status string) (r reply) {
	t.Helper()
	cachetest.Eventually(t, "Cache-Status is "+status, func() bool {
		r = query(t, url, token, document)
		return r.Header.Get("Cache-Status") == "authentik-graphql; "+status
	})
	return r
}

// TestStaleAnswers: while authentik is down its last answer is shown, and marked as stale in every way.
func TestStaleAnswers(t *testing.T) {
	t.Parallel()
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=100ms")
	fresh := query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	wantHeader(t, fresh, "Cache-Status", "authentik-graphql; fwd=miss")
	if cacheExtension(t, fresh) != nil {
		t.Errorf("a fresh answer has extensions.cache: %s", fresh.Body)
	}

	up.SetFault(upstreamtest.AllRequests, upstreamtest.Error500)
	stale := askUntil(t, a.URL, upstreamtest.TokenAlice, aliceCode, "fwd=stale; detail=stale-if-error")
	wantHeader(t, stale, "Cache-Control", "no-store")
	if len(stale.Errors) > 0 || string(stale.Data) != string(fresh.Data) || stale.Status != http.StatusOK {
		t.Errorf("got %d %s", stale.Status, stale.Body)
	}
	says := cacheExtension(t, stale)
	if age, ok := says["age"].(float64); says["status"] != "STALE" || says["reason"] != "stale-if-error" || !ok || age < 0 || age > 60 {
		t.Errorf("extensions.cache: %v", says)
	}
	// The failure behind it is in the log.
	<-a.Log.Contains(`"upstream_status":500`)
	found := false
	for _, line := range a.Log.Lines() {
		if line["cache"] == "fwd=stale; detail=stale-if-error" {
			found = true
			if line["level"] != "WARN" || !strings.Contains(line["error"].(string), "status 500") || line["codes"] != nil {
				t.Errorf("the stale answer's line: %v", line)
			}
		}
	}
	if !found {
		t.Errorf("no line of the stale answer:\n%s", a.Log)
	}
	// Another caller's code and one that was never read are errors.
	if got := query(t, a.URL, upstreamtest.TokenRoot, aliceCode); got.Codes() != "UPSTREAM_ERROR" || cacheExtension(t, got) != nil {
		t.Errorf("root: %s", got.Body)
	}
	wantHeader(t, query(t, a.URL, upstreamtest.TokenRoot, aliceCode), "Cache-Control", "no-store")

	up.ClearFaults()
	back := askUntil(t, a.URL, upstreamtest.TokenAlice, aliceCode, "fwd=stale")
	wantHeader(t, back, "Cache-Control", "private, max-age=0")
	if cacheExtension(t, back) != nil {
		t.Errorf("a fresh answer has extensions.cache: %s", back.Body)
	}
}

// TestGoneIsNeverStale: a code that authentik has denied is not shown again when authentik fails.
func TestGoneIsNeverStale(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]struct {
		do   func(up *fake)
		code string
	}{
		"redeemed":       {func(up *fake) { up.RemoveCode(17) }, "NOT_FOUND"},
		"forbidden":      {func(up *fake) { up.SetFault(17, upstreamtest.Forbidden403) }, "FORBIDDEN"},
		"token rejected": {func(up *fake) { up.SetFault(17, upstreamtest.TokenInvalid403) }, "UNAUTHENTICATED"},
	} {
		t.Run(name, func(t *testing.T) {
			up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=50ms", "CACHE_NEGATIVE_TTL=50ms")
			if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
				t.Fatalf("%s", got.Body)
			}
			gone.do(up)
			cachetest.Eventually(t, "it is gone", func() bool {
				return query(t, a.URL, upstreamtest.TokenAlice, aliceCode).Codes() == gone.code
			})
			up.ClearFaults()
			up.SetFault(upstreamtest.AllRequests, upstreamtest.Error500)
			cachetest.Eventually(t, "authentik's failure shows", func() bool {
				got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
				if len(got.Errors) == 0 {
					t.Fatalf("it is back: %s %v", got.Body, got.Header)
				}
				return got.Codes() == "UPSTREAM_ERROR"
			})
		})
	}
}

// TestStaleNeverLivesOn: an expired code is not shown stale, however long stale answers are allowed.
func TestStaleNeverLivesOn(t *testing.T) {
	t.Parallel()
	up := startFake(t, upstreamtest.Options{})
	ends := time.Now().Add(1500 * time.Millisecond)
	up.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: ends})
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "CACHE_TTL=100ms", "CACHE_STALE_IF_ERROR=1h", "CACHE_STALE_WHILE_REVALIDATE=1h")
	const document = `{ authorizationCode(id: "17") { isExpired } }`
	if got := query(t, a.URL, upstreamtest.TokenAlice, document); string(got.Data) != `{"authorizationCode":{"isExpired":false}}` {
		t.Fatalf("%s", got.Body)
	}
	up.SetFault(upstreamtest.AllRequests, upstreamtest.Error500)
	cachetest.Eventually(t, "the code is not shown any more", func() bool {
		began := time.Now()
		got := query(t, a.URL, upstreamtest.TokenAlice, document)
		if len(got.Errors) == 0 && (!began.Before(ends) || strings.Contains(string(got.Data), "true")) {
			t.Fatalf("shown %s after its end: %s", time.Since(ends), got.Body)
		}
		return len(got.Errors) > 0
	})
}

func TestStaleWhileRevalidateAnswer(t *testing.T) {
	t.Parallel()
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=100ms", "CACHE_STALE_WHILE_REVALIDATE=1h", "UPSTREAM_TIMEOUT=1s")
	query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	up.SetLatency(time.Minute)
	stale := askUntil(t, a.URL, upstreamtest.TokenAlice, aliceCode, "hit; ttl=-1; detail=stale-while-revalidate")
	wantHeader(t, stale, "Cache-Control", "no-store")
	if says := cacheExtension(t, stale); says["reason"] != "stale-while-revalidate" {
		t.Errorf("extensions.cache: %v", says)
	}
	if n := up.Retrieves(17); n > 2 {
		t.Errorf("%d retrieves, want 2 at most", n)
	}
}

// TestLeastFreshDecides: one stale code makes the whole answer stale.
func TestLeastFreshDecides(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=100ms")
	query(t, a.URL, upstreamtest.TokenRoot, aliceCode)
	up.SetFault(17, upstreamtest.Error500)
	got := askUntil(t, a.URL, upstreamtest.TokenRoot, `{ a: authorizationCode(id: 17) { id } b: authorizationCode(id: 18) { id } }`, "fwd=stale; detail=stale-if-error")
	wantHeader(t, got, "Cache-Control", "no-store")
	if len(got.Errors) > 0 || cacheExtension(t, got)["status"] != "STALE" {
		t.Errorf("got %s", got.Body)
	}
}

// TestStaleAfterARestart: a new process shows the last answer from Redis.
func TestStaleAfterARestart(t *testing.T) {
	t.Parallel()
	rs := cachetest.StartRedis(t)
	settings := []string{"REDIS_URL=" + rs.URL(), "CACHE_SECRET=" + testSecret, "CACHE_TTL=100ms", "REDIS_PREFIX=test:"}
	up, first := newWorld(t, upstreamtest.Options{}, settings...)
	want := query(t, first.URL, upstreamtest.TokenAlice, aliceCode)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	up.SetFault(upstreamtest.AllRequests, upstreamtest.Starting503JSON)
	second := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL, "UPSTREAM_TIMEOUT=1s")...)
	got := askUntil(t, second.URL, upstreamtest.TokenAlice, aliceCode, "fwd=stale; detail=stale-if-error")
	if string(got.Data) != string(want.Data) {
		t.Errorf("got %s", got.Body)
	}
	if got := query(t, second.URL, upstreamtest.TokenBob, aliceCode); got.Codes() != "UPSTREAM_UNAVAILABLE" {
		t.Errorf("bob: %s", got.Body)
	}
}

// TestFailureIsShared: no process repeats a failed read for a second.
func TestFailureIsShared(t *testing.T) {
	rs := cachetest.StartRedis(t)
	settings := []string{"REDIS_URL=" + rs.URL(), "CACHE_SECRET=" + testSecret}
	up, first := newWorld(t, upstreamtest.Options{}, settings...)
	second := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL)...)
	up.SetFault(17, upstreamtest.Throttled429)
	for _, a := range []*instance{first, second, first, second} {
		got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
		if got.Codes() != "RATE_LIMITED" || got.Errors[0].Extensions.RetryAfter != 60 || got.Errors[0].Extensions.UpstreamStatus != 429 {
			t.Errorf("got %s", got.Body)
		}
	}
	if n := up.Retrieves(17); n != 1 {
		t.Errorf("%d retrieves, want 1", n)
	}
}

func TestFreshnessIsStated(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	miss := query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	hit := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCode(id: 17) { fetchedAt } }`)
	if got := miss.Header.Get("Cache-Status"); got != "authentik-graphql; fwd=miss" {
		t.Errorf("Cache-Status of a miss: %q", got)
	}
	if got := hit.Header.Get("Cache-Status"); !strings.HasPrefix(got, "authentik-graphql; hit; ttl=35") {
		t.Errorf("Cache-Status of a hit: %q", got)
	}
	if got := hit.Header.Get("Cache-Control"); !strings.HasPrefix(got, "private, max-age=35") {
		t.Errorf("Cache-Control of a hit: %q", got)
	}
	if vary := strings.Join(hit.Header["Vary"], ", "); hit.Header.Get("Age") != "0" || vary != "Accept-Encoding, Authorization, Accept" {
		t.Errorf("Age %q, Vary %q", hit.Header.Get("Age"), vary)
	}
	if got := query(t, a.URL, "", `{ __typename }`).Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control of an answer without data: %q", got)
	}
}

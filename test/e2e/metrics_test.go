package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// scrape has the value of each series that /metrics returns, by the series as it is written there.
type scrape map[string]float64

func readScrape(t *testing.T, text string) scrape {
	t.Helper()
	s := scrape{}
	for line := range strings.Lines(text) {
		if line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		s[strings.TrimPrefix(line[:at], "authentik_graphql_")] = value
	}
	return s
}

func (d *direct) scrape() scrape {
	d.t.Helper()
	return scrapeHandler(d.t, d.service.AdminHandler())
}

func getMetrics(t *testing.T, admin http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func scrapeHandler(t *testing.T, admin http.Handler) scrape {
	t.Helper()
	return readScrape(t, getMetrics(t, admin))
}

func (a *instance) scrape(t *testing.T) scrape {
	t.Helper()
	return readScrape(t, string(fetch(t, a.Admin+"/metrics").Body))
}

// counted returns by how much the counters of requests, errors and reads differ from an earlier scrape, where
// they do.
func (s scrape) counted(before scrape) map[string]float64 {
	more := map[string]float64{}
	for series, value := range s {
		name, _, _ := strings.Cut(series, "{")
		if slices.Contains([]string{"requests_total", "errors_total", "cache_reads_total"}, name) && value != before[series] {
			more[series] = value - before[series]
		}
	}
	return more
}

const (
	codeTwo  = `{"query":"{ authorizationCode(id: 2) { id } }"}`
	codeNone = `{"query":"{ authorizationCode(id: 9) { id } }"}`
	pageOne  = `{"query":"{ authorizationCodes { totalCount } }"}`
	revoke   = `{"query":"mutation { revokeAuthorizationCode(id: 2) { id } }"}`
)

// TestKeysAreCounted checks which keys the metrics name for an authentik of 2026.2.2.
func TestKeysAreCounted(t *testing.T) {
	t.Parallel()
	a := openDirect(t)
	a.ask(codeTwo)
	scrape := a.scrape()
	if n := scrape[`upstream_absent_keys_total{field="grant_types",object="provider"}`]; n != 1 { // since 2026.5
		t.Errorf("grant_types is absent %v times", n)
	}
	for series, n := range scrape {
		if strings.HasPrefix(series, "upstream_unknown_keys_total{") {
			t.Errorf("%s %v", series, n)
		}
	}
}

// TestMetricsCount has a row for each outcome of a request and each result of a read.
func TestMetricsCount(t *testing.T) {
	t.Parallel()
	asked := func(bodies ...string) func(*direct) {
		return func(a *direct) {
			for _, body := range bodies {
				a.ask(body)
			}
		}
	}
	withHeader := func(line string) func(*direct) { return func(a *direct) { a.ask(codeTwo, line) } }
	none := func(*direct) {}
	breaks := func(body string, pass time.Duration) func(*direct) { // once it was asked
		return func(a *direct) {
			a.ask(body)
			a.clock.Advance(pass)
			a.up.SetFault(2, upstreamtest.Error500)
		}
	}
	for _, tt := range []struct {
		name        string
		settings    string
		before, ask func(a *direct)
		want        string // series that count one more
	}{
		{"a query", "", none, asked(codeTwo), `requests_total{outcome="ok",type="query"} cache_reads_total{level="upstream",result="load"}`},
		{"the same once more", "", asked(codeTwo), asked(codeTwo), `requests_total{outcome="ok",type="query"} cache_reads_total{level="memory",result="hit"}`},
		{"and again", "", asked(codeTwo, codeTwo), asked(codeTwo), `requests_total{outcome="ok",type="query"} cache_reads_total{level="response",result="hit"}`},
		{"another of the same code", "", asked(codeTwo), asked(strings.Replace(codeTwo, "id }", "pk }", 1)), `requests_total{outcome="ok",type="query"} cache_reads_total{level="memory",result="hit"}`},
		{"a list", "", none, asked(pageOne), `requests_total{outcome="ok",type="query"} cache_reads_total{level="upstream",result="load"}`},
		{"a mutation", "", none, asked(revoke), `requests_total{outcome="ok",type="mutation"}`},
		{"a code that is not there", "", none, asked(codeNone), `requests_total{outcome="error",type="query"} errors_total{code="NOT_FOUND"} cache_reads_total{level="upstream",result="load"}`},
		{"and is asked for once more", "", asked(codeNone), asked(codeNone), `requests_total{outcome="error",type="query"} errors_total{code="NOT_FOUND"} cache_reads_total{level="memory",result="negative"}`},
		{"a mutation of it", "", none, asked(strings.Replace(revoke, "2", "9", 1)), `requests_total{outcome="error",type="mutation"} errors_total{code="NOT_FOUND"}`},
		{"an authentik that fails", "", func(a *direct) { a.up.SetFault(2, upstreamtest.Error500) }, asked(codeTwo), `requests_total{outcome="failed",type="query"} errors_total{code="UPSTREAM_ERROR"} cache_reads_total{level="upstream",result="load"}`},
		{"and has failed just now", "", func(a *direct) { a.up.SetFault(2, upstreamtest.Error500); a.ask(codeTwo) }, asked(codeTwo), `requests_total{outcome="failed",type="query"} errors_total{code="UPSTREAM_ERROR"} cache_reads_total{level="memory",result="failure"}`},
		{"a stale answer", "CACHE_TTL=1s", breaks(codeTwo, 2*time.Second), asked(codeTwo), `requests_total{outcome="ok",type="query"} cache_reads_total{level="upstream",result="load"} cache_reads_total{level="memory",result="stale"}`},
		{"not GraphQL", "", none, asked(`{"query":"{"}`), `requests_total{outcome="refused",type="none"} errors_total{code="GRAPHQL_PARSE_FAILED"}`},
		{"not of the schema", "", none, asked(`{"query":"{ nothing }"}`), `requests_total{outcome="refused",type="query"} errors_total{code="GRAPHQL_VALIDATION_FAILED"}`},
		{"the same by its other media type", "", none, func(a *direct) { a.ask(`{"query":"{ nothing }"}`, "Accept: application/graphql-response+json") }, `requests_total{outcome="refused",type="query"} errors_total{code="GRAPHQL_VALIDATION_FAILED"}`},
		{"another media type, 415", "", none, withHeader("Content-Type: text/plain"), `requests_total{outcome="refused",type="none"} errors_total{code="UNSUPPORTED_MEDIA_TYPE"}`},
		{"another origin, 403", "", none, withHeader("Origin: https://elsewhere.example"), `requests_total{outcome="refused",type="none"} errors_total{code="FORBIDDEN"}`},
		{"over the rate, 429", "RATE_LIMIT=0.5", asked(codeTwo), asked(codeTwo), `requests_total{outcome="refused",type="none"} errors_total{code="RATE_LIMITED"}`},
		{"an operation out of time", "OPERATION_TIMEOUT=100ms UPSTREAM_TIMEOUT=300ms", func(a *direct) { a.up.SetFault(2, upstreamtest.Hang) }, asked(codeTwo), `requests_total{outcome="failed",type="query"} errors_total{code="GATEWAY_TIMEOUT"} cache_reads_total{level="upstream",result="load"}`},
		{"a client that did not wait", "", none, cancels, `requests_total{outcome="canceled",type="query"} errors_total{code="GATEWAY_TIMEOUT"} cache_reads_total{level="upstream",result="load"}`},
		{"another path", "", none, func(a *direct) {
			a.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/readyz", nil))
		}, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := openDirect(t, strings.Fields(tt.settings)...)
			tt.before(a)
			before := a.scrape()
			tt.ask(a)
			want := map[string]float64{}
			for _, series := range strings.Fields(tt.want) {
				want[series] = 1
			}
			after := a.scrape()
			if got := after.counted(before); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			for kind := range want {
				if timed := regexp.MustCompile(`type="(\w+)"`).FindStringSubmatch(kind); timed != nil {
					series := fmt.Sprintf(`request_duration_seconds_count{type=%q}`, timed[1])
					if after[series] != before[series]+1 {
						t.Errorf("%s went from %v to %v", series, before[series], after[series])
					}
				}
			}
		})
	}
}

// cancels sends a query and cancels it before authentik answers.
func cancels(a *direct) {
	ctx, cancel := context.WithCancel(a.t.Context())
	release := make(chan struct{})
	a.up.SetFault(2, upstreamtest.Fault{Name: "held", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		<-release
		next.ServeHTTP(w, r)
	}})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", strings.NewReader(codeTwo))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
	a.handler.ServeHTTP(httptest.NewRecorder(), r)
	close(release)
}

// TestMetricsOfRedis reads them in two processes with one Redis.
func TestMetricsOfRedis(t *testing.T) {
	rs := cachetest.StartRedis(t)
	settings := []string{"REDIS_URL=" + rs.URL(), "CACHE_SECRET=" + testSecret}
	one, two := openDirect(t, settings...), openDirect(t, settings...)
	leases := 0.0
	for body, want := range map[string]string{
		codeTwo:  `cache_reads_total{level="redis",result="hit"}`,
		codeNone: `cache_reads_total{level="redis",result="negative"}`,
	} {
		one.ask(body)
		leases++
		before := two.scrape()
		two.ask(body)
		after := two.scrape()
		if got := after.counted(before); got[want] != 1 {
			t.Errorf("got %v, want %s", got, want)
		}
		const acquired = `redis_operation_duration_seconds_count{operation="acquire"}`
		if after[acquired] != before[acquired]+1 {
			t.Errorf("%s went from %v to %v", acquired, before[acquired], after[acquired])
		}
	}
	if a, b := one.scrape()["cache_leases_acquired_total"], two.scrape()["cache_leases_acquired_total"]; a != leases || b != 0 {
		t.Errorf("they took %v and %v leases, want %v and 0", a, b, leases)
	}
	cachetest.Eventually(t, "it is in sync", func() bool { return two.scrape()["redis_in_sync"] == 1 })
	wantSeries(t, two.scrape(), scrape{`redis_breaker_state{state="closed"}`: 1, "redis_writable": 1, "redis_pending_revocations": 0})
	rs.Kill()
	for range 5 { // in a row
		two.service.AdminHandler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/readyz", nil)) // asks Redis
	}
	two.ask(pageOne)
	cachetest.Eventually(t, "it is not in sync", func() bool { return two.scrape()["redis_in_sync"] == 0 })
	after := two.scrape()
	wantSeries(t, after, scrape{`redis_breaker_state{state="closed"}`: 0})
	if after[`redis_operation_errors_total{operation="check"}`] == 0 || after["cache_redis_errors_total"] == 0 {
		t.Errorf("a Redis that is gone is not counted: %v", after)
	}
	if got := openDirect(t).scrape(); len(got) == 0 || slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(s string) bool { return strings.HasPrefix(s, "redis_") }) {
		t.Errorf("without Redis: %v", got)
	}
}

// TestUntrustedValuesAreCounted: each kind of value in Redis that the service did not write is counted.
func TestUntrustedValuesAreCounted(t *testing.T) {
	rs := cachetest.StartRedis(t)
	settings := []string{"REDIS_URL=" + rs.URL(), "CACHE_SECRET=" + testSecret}
	text := `{ authorizationCode(id: 2) { isExpired } }`
	byHash := fmt.Sprintf(`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"%x"}}`, sha256.Sum256([]byte(text)))
	for name, bodies := range map[string][2]string{ // asked for before it is overwritten, and after
		"a value":  {codeTwo, codeTwo},
		"a denial": {codeNone, codeNone},
		"a text":   {fmt.Sprintf(`%s,"query":%q}`, byHash, text), byHash + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			openDirect(t, settings...).ask(bodies[0])
			client := redis.NewClient(&redis.Options{Addr: rs.Addr()})
			defer func() { _ = client.Close() }()
			names, err := client.Keys(t.Context(), "*").Result()
			if err != nil || len(names) == 0 {
				t.Fatal(names, err)
			}
			for _, name := range names {
				if err := client.Set(t.Context(), name, "foreign", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			other := openDirect(t, settings...)
			other.ask(bodies[1])
			if got := other.scrape()["cache_untrusted_values_total"]; got != 1 {
				t.Errorf("%v are counted", got)
			}
			client.FlushAll(t.Context())
		})
	}
}

// wantSeries compares some series of a scrape.
func wantSeries(t *testing.T, got, want scrape) {
	t.Helper()
	for series, value := range want {
		if seen, ok := got[series]; !ok || seen != value {
			t.Errorf("%s is %v, %t, want %v", series, seen, ok, value)
		}
	}
}

// TestMetricsOfState checks the metrics that are read at a scrape.
func TestMetricsOfState(t *testing.T) {
	a := openDirect(t)
	empty := a.scrape()
	a.ask(codeTwo)
	a.ask(codeTwo)
	full := a.scrape()
	for series, want := range map[string]float64{
		`cache_entries{level="memory"}`: 1, `cache_entries{level="documents"}`: 1, `upstream_calls_total`: 1,
		`upstream_call_duration_seconds_count{outcome="ok"}`: 1,
	} {
		if full[series]-empty[series] != want {
			t.Errorf("%s went from %v to %v", series, empty[series], full[series])
		}
	}
	for _, level := range []string{"memory", "documents", "response"} {
		series := fmt.Sprintf(`cache_bytes{level=%q}`, level)
		if empty[series] != 0 {
			t.Errorf("%s of nothing is %v", series, empty[series])
		}
		cachetest.Eventually(t, series+" is counted", func() bool { return a.scrape()[series] > 500 }) // stores weigh in the background
	}
	for state, want := range map[string]float64{"closed": 1, "open": 0, "half-open": 0} {
		if series := fmt.Sprintf(`upstream_breaker_state{state=%q}`, state); full[series] != want {
			t.Errorf("%s is %v", series, full[series])
		}
	}
	wantSeries(t, full, scrape{"upstream_concurrency": 64, "max_connections": 10000})
	if full["memory_limit_bytes"] <= 0 || full["go_goroutines"] <= 0 || full["process_open_fds"] <= 0 {
		t.Errorf("no limit, no runtime or no process: %v", full)
	}
}

// TestMetricsOfConnections: an unread request on a connection over MAX_CONNECTIONS is counted.
func TestMetricsOfConnections(t *testing.T) {
	a := startApp(t, []string{"-demo"}, "MAX_CONNECTIONS=1")
	if got := fetch(t, a.URL+"/healthz"); got.Status != http.StatusOK { // the connection stays open
		t.Fatal(got.Status)
	}
	other := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := other.Do(newQuery(t, a.URL, "demo-alice", aliceCode))
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	got := a.scrape(t)
	if got[`requests_total{outcome="failed",type="none"}`] != 1 || got[`errors_total{code="TOO_MANY_CONNECTIONS"}`] != 1 || got["open_connections"] < 1 {
		t.Errorf("got %v", got)
	}
}

// TestMetricsAreClosed: no input of a client becomes a series.
func TestMetricsAreClosed(t *testing.T) {
	a := openDirect(t)
	series := func() []string { return slices.Sorted(maps.Keys(a.scrape())) }
	before := series()
	const hostile = "h0st1le"
	a.ask(`{"query":"query h0st1le($id: ID!) { authorizationCode(id: $id) { id } }","operationName":"h0st1le","variables":{"id":"4711"}}`)
	a.ask(`{"query":"subscription h0st1le { h0st1le }"}`)
	a.ask(`{"query":"{ h0st1le }","extensions":{"persistedQuery":{"version":1,"sha256Hash":"h0st1le"}}}`)
	a.ask(`{"documentId":"h0st1le"}`)
	a.ask(codeTwo, "X-Request-ID: h0st1le", "Authorization: Bearer h0st1le", "Accept: text/h0st1le", "User-Agent: h0st1le")
	for _, target := range []string{"/h0st1le", "/graphql/h0st1le", "/graphql?query=h0st1le", "//graphql"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, "H0ST1LE"} {
			r := httptest.NewRequest(method, target, strings.NewReader(hostile))
			r.Host = hostile + ".example"
			a.handler.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if after := series(); !reflect.DeepEqual(after, before) {
		t.Errorf("there are other series than before:\n%q\n%q", before, after)
	}
	if a.scrape()[`errors_total{code="other"}`] != 0 {
		t.Error("a code is not in the table")
	}
}

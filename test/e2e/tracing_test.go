package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// The trace of the request under test.
const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

// traced makes a query that is part of the trace.
func traced(t *testing.T, a *instance, document, flags string) *http.Request {
	t.Helper()
	r := newQuery(t, a.URL, upstreamtest.TokenRoot, document)
	r.Header.Set("Traceparent", "00-"+traceID+"-"+parentID+"-"+flags)
	return r
}

const code17 = "GET /api/v3/oauth2/authorization_codes/{id}/"

// TestTraces has a row for each way to answer a request, with the spans of its trace in the format of tree.
func TestTraces(t *testing.T) {
	none := func(*testing.T, *fake, *instance) {}
	asked := func(others ...string) func(*testing.T, *fake, *instance) {
		return func(t *testing.T, _ *fake, a *instance) {
			for _, document := range others {
				_ = query(t, a.URL, upstreamtest.TokenRoot, document)
			}
		}
	}
	fails := func(fault upstreamtest.Fault) func(*testing.T, *fake, *instance) {
		return func(_ *testing.T, up *fake, _ *instance) { up.SetFault(17, fault) }
	}
	const other = `{ authorizationCode(id: 17) { isExpired } }`
	for _, tt := range []struct {
		name     string
		redis    bool
		before   func(t *testing.T, up *fake, a *instance)
		document string
		want     string
	}{
		{"a miss", true, none, aliceCode, `
server POST /graphql graphql.operation.type=query http.response.status_code=200
.query graphql.operation.type=query
..cache read cache.level=upstream cache.result=load
...cache fetch cache.level=upstream cache.result=load
....client redis acquire
....client ` + code17 + ` http.response.status_code=200
....client redis commit
`},
		{"a hit", true, asked(other), aliceCode, `
server POST /graphql graphql.operation.type=query http.response.status_code=200
.query graphql.operation.type=query
..cache read cache.level=memory cache.result=hit
`},
		{"a replayed response", false, asked(aliceCode, aliceCode), aliceCode, `
server POST /graphql cache.level=response cache.result=hit graphql.operation.type=query http.response.status_code=200
`},
		{"a code that is not there", true, none, `{ authorizationCode(id: 9) { id } }`, `
server POST /graphql error.type=NOT_FOUND graphql.operation.type=query http.response.status_code=200
.query error.type=NOT_FOUND graphql.operation.type=query
..cache read cache.level=upstream cache.result=negative
...cache fetch cache.level=upstream cache.result=negative
....client redis acquire
....!client ` + code17 + ` error.type=not_found http.response.status_code=404
....client redis commit
`},
		{"and is known not to be", true, asked(`{ authorizationCode(id: 9) { id } }`), `{ authorizationCode(id: 9) { id } }`, `
server POST /graphql error.type=NOT_FOUND graphql.operation.type=query http.response.status_code=200
.query error.type=NOT_FOUND graphql.operation.type=query
..cache read cache.level=memory cache.result=negative
`},
		{"authentik fails", false, fails(upstreamtest.Error500), aliceCode, `
!server POST /graphql error.type=UPSTREAM_ERROR graphql.operation.type=query http.response.status_code=200
.!query error.type=UPSTREAM_ERROR graphql.operation.type=query
..cache read cache.level=upstream cache.result=failure
...cache fetch cache.level=upstream cache.result=failure
....!client ` + code17 + ` error.type=failed http.response.status_code=500
`},
		{"and has failed just now", false, func(t *testing.T, up *fake, a *instance) {
			up.SetFault(17, upstreamtest.Error500)
			_ = query(t, a.URL, upstreamtest.TokenRoot, aliceCode)
		}, aliceCode, `
!server POST /graphql error.type=UPSTREAM_ERROR graphql.operation.type=query http.response.status_code=200
.!query error.type=UPSTREAM_ERROR graphql.operation.type=query
..cache read cache.level=memory cache.result=failure
`},
		{"each try", false, fails(once(upstreamtest.BackendDown502JSON)), aliceCode, `
server POST /graphql graphql.operation.type=query http.response.status_code=200
.query graphql.operation.type=query
..cache read cache.level=upstream cache.result=load
...cache fetch cache.level=upstream cache.result=load
....!client ` + code17 + ` error.type=unavailable http.response.status_code=502
....client ` + code17 + ` http.response.status_code=200
`},
		{"a list", true, none, `{ authorizationCodes { totalCount } }`, `
server POST /graphql graphql.operation.type=query http.response.status_code=200
.query graphql.operation.type=query
..client redis list_version
..cache read cache.level=upstream cache.result=load
...cache fetch cache.level=upstream cache.result=load
....client redis acquire
....client GET /api/v3/oauth2/authorization_codes/ http.response.status_code=200
....client redis commit
`},
		{"a mutation", true, none, `mutation { revokeAuthorizationCode(id: 17) { id } }`, `
server POST /graphql graphql.operation.type=mutation http.response.status_code=200
.mutation graphql.operation.type=mutation
..client redis read
..client DELETE /api/v3/oauth2/authorization_codes/{id}/ http.response.status_code=204
..client redis revoke
`},
		{"not GraphQL", false, none, `{ nothing `, `
server POST /graphql error.type=GRAPHQL_PARSE_FAILED http.response.status_code=200
.GraphQL operation error.type=GRAPHQL_PARSE_FAILED
`},
		{"not valid", false, none, `query SecretName { nothing }`, `
server POST /graphql error.type=GRAPHQL_VALIDATION_FAILED graphql.operation.type=query http.response.status_code=200
.query error.type=GRAPHQL_VALIDATION_FAILED graphql.operation.type=query
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rc := startReceiver(t)
			settings := append([]string{"CACHE_TTL=1h"}, rc.settings...)
			if tt.redis {
				settings = append(settings, "REDIS_URL="+cachetest.StartRedis(t).URL(), "CACHE_SECRET="+testSecret)
			}
			up, a := newWorld(t, upstreamtest.Options{}, settings...)
			tt.before(t, up, a)
			_ = send(t, traced(t, a, tt.document, "01"))
			if err := a.Stop(); err != nil { // which sends the rest
				t.Fatal(err)
			}
			spans := rc.trace(traceID)
			if got := tree(spans, parentID, ""); got != tt.want[1:] || strings.Count(got, "\n") != len(spans) {
				t.Errorf("of %d spans got\n%s\nwant%s", len(spans), got, tt.want)
			}
		})
	}
}

// once makes a fault of the first request alone.
func once(fault upstreamtest.Fault) upstreamtest.Fault {
	var first sync.Once
	return upstreamtest.Fault{Name: fault.Name, Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		serve := func() { next.ServeHTTP(w, r) }
		first.Do(func() { serve = func() { fault.Serve(w, r, next) } })
		serve()
	}}
}

// TestTraceContextIsPassedOn: authentik gets the id of the span of its call, even if the caller asks not to
// record anything.
func TestTraceContextIsPassedOn(t *testing.T) {
	for flags, recorded := range map[string]bool{"01": true, "00": false} {
		rc := startReceiver(t)
		up, a := newWorld(t, upstreamtest.Options{}, rc.settings...)
		var seen []string
		up.SetFault(17, upstreamtest.Fault{Name: "seen", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			seen = append(r.Header["Traceparent"], r.Header["Tracestate"]...)
			next.ServeHTTP(w, r)
		}})
		r := traced(t, a, aliceCode, flags)
		r.Header.Set("Tracestate", "vendor=value")
		_ = send(t, r)
		if err := a.Stop(); err != nil {
			t.Fatal(err)
		}
		spans := rc.trace(traceID)
		if (len(spans) > 0) != recorded || len(seen) != 2 || seen[1] != "vendor=value" {
			t.Fatalf("%s: %d spans; authentik saw %q", flags, len(spans), seen)
		}
		if recorded {
			if want := "00-" + traceID + "-" + hex.EncodeToString(spans[len(spans)-1].SpanId) + "-01"; seen[0] != want || !strings.HasPrefix(spans[len(spans)-1].Name, "GET ") {
				t.Errorf("authentik saw %s, and the last span is %s, %s", seen[0], spans[len(spans)-1].Name, want)
			}
		} else if !strings.HasPrefix(seen[0], "00-"+traceID+"-") || !strings.HasSuffix(seen[0], "-00") || strings.Contains(seen[0], parentID) {
			t.Errorf("authentik saw %s", seen[0])
		}
	}
}

// TestTracesOfWaits: a read that waits for another read's load has a span for it, in the same process and in
// another.
func TestTracesOfWaits(t *testing.T) {
	rc := startReceiver(t)
	settings := append(rc.settings, "REDIS_URL="+cachetest.StartRedis(t).URL(), "CACHE_SECRET="+testSecret, "CACHE_TTL=1h")
	up, a := newWorld(t, upstreamtest.Options{}, settings...)
	b := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL)...)
	fault, held, letGo := hold()
	defer letGo()
	up.SetFault(17, fault)
	var answered sync.WaitGroup
	ask := func(a *instance, trace string) {
		answered.Go(func() {
			r := newQuery(t, a.URL, upstreamtest.TokenAlice, aliceCode)
			r.Header.Set("Traceparent", "00-"+trace+"-"+parentID+"-01")
			if resp, err := http.DefaultClient.Do(r); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	first, joined, leased := strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 32)
	ask(a, first)
	<-held
	ask(a, joined)
	ask(b, leased)
	cachetest.Eventually(t, "both wait", func() bool {
		return a.scrape(t)["cache_joined_total"] == 1 && b.scrape(t)["cache_lease_waits_total"] > 0
	})
	letGo()
	answered.Wait()
	for _, app := range []*instance{a, b} {
		if err := app.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := tree(rc.trace(joined), parentID, ""), `
server POST /graphql graphql.operation.type=query http.response.status_code=200
.query graphql.operation.type=query
..cache read cache.level=upstream cache.result=load
...cache join
`; got != want[1:] {
		t.Errorf("joined:\n%s", got)
	}
	wait := rc.trace(joined)[3]
	fetch := rc.trace(first)[3]
	if len(wait.Links) != 1 || !bytes.Equal(wait.Links[0].SpanId, fetch.SpanId) || fetch.Name != "cache fetch" {
		t.Errorf("the wait is linked to %v, not to %s %x", wait.Links, fetch.Name, fetch.SpanId)
	}
	got := tree(rc.trace(leased), parentID, "")
	head, looks, _ := strings.Cut(got, "....cache lease wait\n")
	if want := `
server POST /graphql graphql.operation.type=query http.response.status_code=200
.query graphql.operation.type=query
..cache read cache.level=redis cache.result=hit
...cache fetch cache.level=redis cache.result=hit
....client redis acquire
....client redis acquire
`; head != want[1:] || looks == "" || regexp.MustCompile(`(?m)^\.{5}client redis (acquire|commit)\n`).ReplaceAllString(looks, "") != "" {
		t.Errorf("leased:\n%s", got)
	}
}

// TestTracesOfRevalidation: the fetch that revalidates a stale answer is below the request that got it.
func TestTracesOfRevalidation(t *testing.T) {
	rc := startReceiver(t)
	a := openDirect(t, append(rc.settings, "CACHE_TTL=1s", "CACHE_STALE_WHILE_REVALIDATE=1h")...)
	srv := httptest.NewServer(a.handler)
	defer srv.Close()
	ask := func() {
		r := newQuery(t, srv.URL, upstreamtest.TokenRoot, `{ authorizationCodes { totalCount } }`)
		r.Header.Set("Traceparent", "00-"+traceID+"-"+parentID+"-01")
		_ = send(t, r)
	}
	ask()
	a.clock.Advance(2 * time.Second)
	before := len(tree(rc.trace(traceID), parentID, ""))
	ask()
	if err := a.service.Close(t.Context()); err != nil || before != 0 {
		t.Fatal(err, before)
	}
	all := tree(rc.trace(traceID), parentID, "")
	if want := `
server POST /graphql graphql.operation.type=query http.response.status_code=200
.query graphql.operation.type=query
..cache read cache.level=memory cache.result=stale
...cache fetch cache.level=upstream cache.result=load
....client GET /api/v3/oauth2/authorization_codes/ http.response.status_code=200
`; !strings.HasSuffix(all, want[1:]) {
		t.Errorf("got\n%s", all)
	}
}

// TestTracesHoldNoSecrets searches everything that was sent for what no span may hold, and for what the
// operator configured.
func TestTracesHoldNoSecrets(t *testing.T) {
	const token, id = "s3cr3t-t0k3n-0123456789", "424242"
	documents := filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(documents, []byte(`{"one":"query ChosenName { authorizationCodes { totalCount } }"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	rc := startReceiver(t, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=testing,service.namespace=some%20space")
	up, a := newWorld(t, upstreamtest.Options{}, append(rc.settings, "REDACT=none", "UPSTREAM_TIMEOUT=1s",
		"REDIS_URL="+cachetest.StartRedis(t).URL(), "CACHE_SECRET="+testSecret, "TRUSTED_DOCUMENTS="+documents)...)
	up.AddCode(upstreamtest.Code{PK: 424242, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	ask := func(token, body string) {
		r := newRequest(t, http.MethodPost, a.URL+"/graphql?query=s3cr3t-in-url", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}, "X-Request-Id": {"s3cr3t-id"}, "User-Agent": {"s3cr3t-agent"}}
		r.Host = "s3cr3t-host.example"
		_ = send(t, r)
	}
	body := func(document string) string {
		b, err := json.Marshal(map[string]any{"query": document, "variables": map[string]string{"id": id, "s3cr3t": "s3cr3t-value"}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, token := range []string{upstreamtest.TokenAlice, token} {
		ask(token, body(`query SecretName($id: ID!) { s3cr3tAlias: authorizationCode(id: $id) { pk user { email } provider { clientSecret } } }`))
		ask(token, body(`query SecretName($id: ID!) { s3cr3tAlias: authorizationCode(id: $id) { pk } }`))
		ask(token, body(`{ s3cr3tAlias: authorizationCodes(filter: {user: 424242}) { totalCount } }`))
		ask(token, body(`{ authorizationCode(id: "s3cr3t-literal" }`))
		ask(token, `{"documentId":"one"}`)
	}
	for _, fault := range []upstreamtest.Fault{upstreamtest.Error500, upstreamtest.Reset, upstreamtest.Hang} {
		up.SetFault(424242, fault)
		ask(upstreamtest.TokenRoot, body(fmt.Sprintf(`mutation SecretName { revokeAuthorizationCode(id: %s) { id } }`, id)))
	}
	for _, path := range []string{"/s3cr3t-path", "/graphql/s3cr3t-path", "/healthz"} {
		_ = send(t, newRequest(t, "PURGE", a.URL+path, nil))
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{token, "s3cr3t", id, upstreamtest.TokenAlice, upstreamtest.TokenRoot, "SecretName", "authorizationCode", "revoke",
		testSecret, "email", "page_size", strings.TrimPrefix(up.URL, "http://")} {
		if bytes.Contains(rc.bytes.Bytes(), []byte(secret)) {
			t.Errorf("the traces hold %q", secret)
		}
	}
	for _, said := range []string{"ChosenName", "authorization_codes/{id}/", "DELETE", "UNAUTHENTICATED", "unavailable", "timeout"} {
		if !bytes.Contains(rc.bytes.Bytes(), []byte(said)) {
			t.Errorf("the traces do not say %q", said)
		}
	}
	got := attributes(rc.resource)
	for _, want := range []string{"service.name=authentik-graphql", "deployment.environment.name=testing", "service.namespace=some space"} {
		if !slices.Contains(got, want) {
			t.Errorf("the resource is %q, without %s", got, want)
		}
	}
}

// TestLogLinesNameTheTrace: a request's log line has the id of its trace, but not if it is to another path or
// there are no traces.
func TestLogLinesNameTheTrace(t *testing.T) {
	for _, on := range []bool{true, false} {
		var settings []string
		if on {
			settings = startReceiver(t).settings
		}
		_, a := newWorld(t, upstreamtest.Options{}, settings...)
		for range 3 { // loaded, from memory, and replayed
			_ = send(t, traced(t, a, aliceCode, "01"))
		}
		other := traced(t, a, aliceCode, "01")
		other.URL.Path = "/healthz"
		_ = send(t, other)
		if err := a.Stop(); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for _, line := range a.Log.Lines() {
			id, has := line["trace_id"]
			if asked := line["route"] == "/graphql"; has != (asked && on) || has && id != traceID {
				t.Errorf("traces %t: %v", on, line)
			} else if asked {
				lines++
			}
		}
		if lines != 3 {
			t.Errorf("%d lines of requests:\n%s", lines, a.Log)
		}
	}
}

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/app"
	"authentik-graphql/upstream/upstreamtest"
)

// installation is an authentik with the processes in front of it.
type installation struct {
	up        *fake
	processes []*app.Service
	handlers  []http.Handler
}

// twins are two installations of which the second has no response cache. Whatever happens to one happens to
// the other at the same moment.
type twins struct {
	t     *rapid.T
	test  *testing.T
	clock *cachetest.Clock
	both  [2]*installation
	sent  []repeatable
}

// repeatable is a request that can be sent more than once.
type repeatable struct {
	parameters map[string]any
	header     map[string]string
	get        bool
}

func newTwins(t *testing.T, rt *rapid.T, processes int, settings ...string) *twins {
	w := &twins{t: rt, test: t, clock: cachetest.NewClock()}
	for i := range w.both {
		in := &installation{up: startFake(t, upstreamtest.Options{Now: w.clock.Now, Release: upstreamtest.R2026_8})}
		w.both[i] = in
		for range processes {
			environ := append(settings, "AUTHENTIK_URL="+in.up.URL, "CACHE_PROVIDER_TTL="+providerTTL.String())
			if processes > 1 {
				environ = append(environ, fmt.Sprintf("REDIS_PREFIX=twin%d:", i))
			}
			s, err := app.Open(app.Options{Environ: environ, Stderr: io.Discard, Schema: schema(), Now: w.clock.Now, NoResponseCache: i == 1})
			if err != nil {
				t.Fatal(err)
			}
			if processes > 1 {
				cachetest.Eventually(t, "the process receives revocations", func() bool { return scrapeHandler(t, s.AdminHandler())["redis_in_sync"] == 1 })
			}
			in.processes = append(in.processes, s)
			in.handlers = append(in.handlers, s.Handler())
		}
	}
	return w
}

func (w *twins) close() {
	for _, in := range w.both {
		for _, s := range in.processes {
			_ = s.Close(context.Background())
		}
	}
}

const (
	// twinProviders is how many providers both have. If listedProviders are missing, all are read by a list.
	twinProviders, listedProviders = 9, 6
	providerTTL                    = 3 * time.Second
)

// addProviders gives both a token of each provider.
func (w *twins) addProviders() {
	for pk := range int32(twinProviders) {
		w.changeProvider(pk + 1)
		for _, in := range w.both {
			in.up.AddToken(upstreamtest.AccessTokens, upstreamtest.Token{
				PK: pk + 1, Owner: []string{upstreamtest.UserAlice, upstreamtest.UserBob}[pk%2], Provider: pk + 1, NeverExpires: true,
			})
		}
	}
}

// changeProvider replaces a provider of both.
func (w *twins) changeProvider(pk int32) {
	now := w.clock.Now().UnixMilli()
	for _, in := range w.both {
		in.up.AddProvider(upstreamtest.Provider{PK: pk, Name: fmt.Sprintf("%d at %d", pk, now), ClientID: fmt.Sprintf("client-%d-%d", pk, now)})
	}
}

// permit gives a user of both other permissions to view providers.
func (w *twins) permit() {
	username := rapid.SampledFrom([]string{upstreamtest.UserAlice, upstreamtest.UserBob}).Draw(w.t, "user")
	permissions := rapid.SampledFrom([][]string{nil, {upstreamtest.ViewProvider}, {upstreamtest.ViewProvider + ":2", upstreamtest.ViewProvider + ":3"}}).Draw(w.t, "permissions")
	for _, in := range w.both {
		in.up.SetPermissions(username, permissions...)
	}
}

// add gives both a code, or replaces it.
func (w *twins) add(pk int32) {
	lives := time.Duration(rapid.IntRange(-1, 20).Draw(w.t, "lives")) * time.Second
	for _, in := range w.both {
		in.up.AddCode(upstreamtest.Code{
			PK: pk, Owner: []string{upstreamtest.UserAlice, upstreamtest.UserBob}[pk%2],
			Expires: w.clock.Now().Add(lives), Scope: []string{fmt.Sprint(w.clock.Now().UnixMilli())},
		})
	}
}

var twinDocuments = []string{
	`query One($id: ID!) { authorizationCode(id: $id) { id isExpired expires scope fetchedAt } }`,
	`query Two($id: ID!, $other: ID = "2") { a: authorizationCode(id: $id) { isExpired scope } b: authorizationCode(id: $other) { isExpired user { username } } }`,
	`query Page($first: Int) { authorizationCodes(first: $first) { totalCount nodes { id isExpired scope } pageInfo { hasNextPage endCursor } } }`,
	`query Both($id: ID!, $no: Boolean = false) { authorizationCode(id: $id) @skip(if: $no) { isExpired } accessTokens(first: 2) { nodes { id } } __typename }`,
	`query Named($id: ID!) { authorizationCode(id: $id) { ...c } } fragment c on Grant { id isExpired provider { name } }`,
	`query Token($id: ID!) { accessToken(id: $id) { id } }`,
	`query Provider($id: ID!) { accessToken(id: $id) { id provider { name clientId logoutUri } } }`,
	`query Providers { accessTokens(first: 6) { nodes { id provider { id clientId } } } }`,
	`query Root($id: ID!) { oauth2Provider(id: $id) { name clientId } accessToken(id: $id) { provider { clientType } } }`,
	`query Mixed($id: ID!) { _entities(representations: [{__typename: "OAuth2Provider", id: "3"}, {__typename: "AccessToken", id: "2"}]) { ... on OAuth2Provider { clientId } ... on AccessToken { provider { clientId } } } __schema { queryType { name } } oauth2Provider(id: $id) { name } }`,
	`{ __schema { queryType { name } } }`,
	`query Bad($id: ID!) { authorizationCode(id: $id) { nothing } }`,
	`query A($id: ID!) { authorizationCode(id: $id) { isExpired } } query B($id: ID!) { authorizationCode(id: $id) { scope } }`,
	`query Entities($id: ID!) { _entities(representations: [{__typename: "AuthorizationCode", id: "1"}]) { ... on AuthorizationCode { isExpired scope } } authorizationCode(id: $id) { isExpired } }`,
}

// draw draws a request.
func (w *twins) draw() repeatable {
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(w.t, what) }
	document := pick("document", twinDocuments...)
	variables := map[string]any{}
	for _, name := range []string{"id", "other"} {
		if strings.Contains(document, "$"+name) && rapid.IntRange(0, 9).Draw(w.t, "given") > 0 {
			variables[name] = pick(name, "1", "2", "3", "4", "x")
			if strings.Contains(document, "rovider") && rapid.Bool().Draw(w.t, "one of all providers") {
				variables[name] = fmt.Sprint(rapid.IntRange(1, twinProviders).Draw(w.t, name))
			}
		}
	}
	if strings.Contains(document, "$first") {
		variables["first"] = rapid.IntRange(0, 3).Draw(w.t, "first")
	}
	parameters := map[string]any{"variables": variables}
	if name := pick("operation", "", "", "", "", "", "A", "B"); name != "" {
		parameters["operationName"] = name
	}
	hash := sha256.Sum256([]byte(document))
	how := pick("how", "text", "text", "text", "text", "hash", "both")
	if how != "hash" {
		parameters["query"] = document
	}
	if how != "text" {
		parameters["extensions"] = map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hex.EncodeToString(hash[:])}}
	}
	q := repeatable{parameters: parameters, header: map[string]string{}, get: pick("method", "POST", "POST", "GET") == "GET"}
	for name, values := range twinHeaders {
		q.header[name] = values[0]
	}
	return w.neighbour(w.neighbour(q))
}

var twinHeaders = map[string][]string{
	"Authorization": {"Bearer " + upstreamtest.TokenRoot, "Bearer " + upstreamtest.TokenAlice, "Bearer " + upstreamtest.TokenBob, ""},
	"Accept":        {"", "application/json", "application/graphql-response+json", "*/*", "text/html"},
	"Content-Type":  {"application/json", "application/json; charset=utf-8", "application/json; charset=UTF-8", "text/plain"},
	"X-Request-ID":  {"one", "two"},
}

// neighbour is a request that differs in one thing.
func (w *twins) neighbour(q repeatable) repeatable {
	q.parameters, q.header = maps.Clone(q.parameters), maps.Clone(q.header)
	name := rapid.SampledFrom(append(slices.Sorted(maps.Keys(twinHeaders)), "operation", "method")).Draw(w.t, "other")
	switch name {
	case "operation":
		q.parameters["operationName"] = rapid.SampledFrom([]string{"A", "B"}).Draw(w.t, name)
	case "method":
		q.get = !q.get
	default:
		q.header[name] = rapid.SampledFrom(twinHeaders[name]).Draw(w.t, name)
	}
	return q
}

// request makes the HTTP request, with white space or without.
func (q repeatable) request(indent string) *http.Request {
	body, _ := json.MarshalIndent(q.parameters, "", indent)
	r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
	if q.get {
		query := url.Values{}
		for name, value := range q.parameters {
			text, ok := value.(string)
			if !ok {
				b, _ := json.MarshalIndent(value, "", indent)
				text = string(b)
			}
			query.Set(name, text)
		}
		r = httptest.NewRequest(http.MethodGet, "/graphql?"+query.Encode(), nil)
	}
	for name, value := range q.header {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

// repeat sends an earlier request until it may be replayed, and a neighbour of it.
func (w *twins) repeat() {
	if len(w.sent) == 0 {
		return
	}
	q := rapid.SampledFrom(w.sent).Draw(w.t, "again")
	for range 3 { // the first reads, the second finds all that it read
		w.send(q)
	}
	w.send(w.neighbour(q))
}

// relist changes a provider of which a response is replayed, and lists the providers of other tokens: the list has
// the changed one as well.
func (w *twins) relist() {
	asRoot := func(document string, variables map[string]any) repeatable {
		q := repeatable{parameters: map[string]any{"query": document, "variables": variables}, header: map[string]string{}}
		for name, values := range twinHeaders {
			q.header[name] = values[0]
		}
		return q
	}
	pk := rapid.Int32Range(1, twinProviders-listedProviders).Draw(w.t, "pk")
	one := asRoot(`query Root($id: ID!) { oauth2Provider(id: $id) { name clientId } accessToken(id: $id) { id } }`, map[string]any{"id": fmt.Sprint(pk)})
	w.clock.Advance(providerTTL) // no provider is fresh
	for range 3 {
		w.send(one)
	}
	w.changeProvider(pk)
	w.send(asRoot(fmt.Sprintf(`{ accessTokens(first: %d) { nodes { provider { clientId } } } }`, listedProviders), nil))
	w.send(one)
}

// send sends a request to both, and compares the whole responses and how many calls authentik got.
func (w *twins) send(q repeatable) {
	w.clock.Advance(time.Microsecond) // or chance decides which of two reads is less fresh
	indent := rapid.SampledFrom([]string{"", "", " "}).Draw(w.t, "indent")
	process := rapid.IntRange(0, len(w.both[0].handlers)-1).Draw(w.t, "process")
	var got [2]*httptest.ResponseRecorder
	for i, in := range w.both {
		got[i] = httptest.NewRecorder()
		in.handlers[process].ServeHTTP(got[i], q.request(indent))
	}
	if a, b := got[0], got[1]; a.Code != b.Code || ordered(w.t, a.Body.Bytes()) != ordered(w.t, b.Body.Bytes()) || !maps.EqualFunc(a.Header(), b.Header(), slices.Equal) {
		w.t.Fatalf("%v\nwith the response cache:\n%d %v\n%s\nwithout:\n%d %v\n%s", q, a.Code, a.Header(), a.Body, b.Code, b.Header(), b.Body)
	}
	if a, b := w.both[0].up.Calls().Total, w.both[1].up.Calls().Total; a != b {
		w.t.Fatalf("%v\nwith the response cache authentik gets %d calls, without it %d", q, a, b)
	}
}

// ordered is a response with its errors sorted: errors of fields that are read at the same time have no
// order.
func ordered(t *rapid.T, body []byte) string {
	var answer struct{ Errors []json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(answer.Errors) < 2 {
		return string(body)
	}
	_, data, _ := strings.Cut(string(body), `],"data":`)
	slices.SortFunc(answer.Errors, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	return fmt.Sprintf("%s %s", answer.Errors, data)
}

// revoke revokes a code through one process, and waits until all processes know.
func (w *twins) revoke() {
	pk := rapid.Int32Range(1, 4).Draw(w.t, "pk")
	document := fmt.Sprintf(`{"query":"mutation { revokeAuthorizationCode(id: \"%d\") { id uncertain } }"}`, pk)
	for _, in := range w.both {
		_, there := in.up.Code(pk)
		received := func(s *app.Service) float64 {
			return scrapeHandler(w.test, s.AdminHandler())["cache_revocations_received_total"]
		}
		var before []float64
		for _, s := range in.processes {
			before = append(before, received(s))
		}
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(document))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
		got := httptest.NewRecorder()
		in.handlers[len(in.handlers)-1].ServeHTTP(got, r)
		if !there || strings.Contains(got.Body.String(), "errors") || len(in.processes) == 1 {
			continue
		}
		for i, s := range in.processes {
			cachetest.Eventually(w.test, "the process receives the revocation", func() bool { return received(s) > before[i] })
		}
	}
}

func (w *twins) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){}
	for name, do := range map[string]func(){
		"a request is sent": func() {
			q := w.draw()
			w.sent = append(w.sent, q)
			w.send(q)
		},
		"it is repeated": w.repeat, "and once more": w.repeat, "and more": w.repeat, "and again": w.repeat,
		"time passes": func() {
			w.clock.Advance(time.Duration(rapid.IntRange(1, 2000).Draw(w.t, "ms")) * time.Millisecond)
		},
		"a code changes": func() { w.add(rapid.Int32Range(1, 4).Draw(w.t, "pk")) },
		"a code goes": func() {
			pk := rapid.Int32Range(1, 4).Draw(w.t, "pk")
			for _, in := range w.both {
				in.up.RemoveCode(pk)
			}
		},
		"authentik refuses or fails": func() {
			pk := rapid.Int32Range(1, 4).Draw(w.t, "pk")
			fault := rapid.SampledFrom([]upstreamtest.Fault{{}, {}, upstreamtest.Forbidden403, upstreamtest.BadRequest400}).Draw(w.t, "fault")
			for _, in := range w.both {
				in.up.SetFault(pk, fault)
				in.up.SetListFault(upstreamtest.AuthorizationCodes, fault)
			}
		},
		"a permission changes":             w.permit,
		"a provider changes":               func() { w.changeProvider(rapid.Int32Range(1, twinProviders).Draw(w.t, "pk")) },
		"a provider changes and is listed": w.relist,
		"a provider fails": func() {
			pk := rapid.Int32Range(1, twinProviders).Draw(w.t, "pk")
			fault := rapid.SampledFrom([]upstreamtest.Fault{{}, {}, upstreamtest.Forbidden403, upstreamtest.BadRequest400}).Draw(w.t, "fault")
			for _, in := range w.both {
				in.up.SetResourceFault(upstreamtest.Providers, pk, fault)
				in.up.SetListFault(upstreamtest.Providers, fault)
			}
		},
		"a code is revoked": func() {
			if rapid.IntRange(0, 7).Draw(w.t, "rarely") == 0 {
				w.revoke()
			}
		},
	} {
		all[name] = func(t *rapid.T) { w.t = t; do() }
	}
	return all
}

// TestReplayChangesNothing checks that a service with a response cache gives every response that one without
// it gives, to the last byte and header, and calls authentik as often.
func TestReplayChangesNothing(t *testing.T) {
	t.Parallel()
	redis := cachetest.StartRedis(t)
	client := goredis.NewClient(&goredis.Options{Addr: redis.Addr()})
	defer func() { _ = client.Close() }()
	for name, settings := range map[string][]string{
		"memory": nil,
		"redis":  {"REDIS_URL=" + redis.URL(), "CACHE_SECRET=" + testSecret},
	} {
		t.Run(name, func(t *testing.T) {
			var hits int64
			rapid.Check(t, func(rt *rapid.T) {
				if err := client.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				w := newTwins(t, rt, 1+len(settings)/2, settings...)
				defer w.close()
				for pk := range int32(4) {
					w.add(pk + 1)
				}
				w.addProviders()
				rt.Repeat(w.actions())
				for _, s := range w.both[0].processes {
					hits += int64(scrapeHandler(t, s.AdminHandler())[`cache_reads_total{level="response",result="hit"}`])
				}
			})
			t.Log(hits, "responses were replayed")
			if hits < 10 {
				t.Errorf("only %d responses were replayed", hits)
			}
		})
	}
}

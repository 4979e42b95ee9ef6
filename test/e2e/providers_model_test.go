package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/app"
	"authentik-graphql/upstream/upstreamtest"
)

// maxClockSkew is by how much the clock of a process is ahead or behind.
const maxClockSkew = 500 * time.Millisecond

// providerWorld draws histories of callers who may view different providers. Their requests go to one or several
// processes, while permissions, providers and clocks change, and authentik and Redis fail. What authentik said says
// what each response may show.
type providerWorld struct {
	t            *rapid.T
	test         *testing.T
	clock        *cachetest.Clock
	up           *upstreamtest.Authentik
	answers      providerAnswers
	processes    []*providerProcess
	ttl          time.Duration
	staleIfError time.Duration
	redacted     []string
	redis        *cachetest.RedisServer // nil if the process has only its memory
	store        *goredis.Client
	revoked      map[string]int // the process through which a token was revoked, by id
	// lost reports that Redis forgot something, so that a process may not know what another one was told.
	lost bool
	// late reports that a request took so long that what the service does in the background is no longer known.
	late   bool
	sent   []providerRequest
	counts *providerCounts
}

type providerProcess struct {
	server  *httptest.Server // authentik as it sees it
	service *app.Service
	handler http.Handler
	skew    atomic.Int64 // of its clock
}

// providerCounts tell whether histories meet what they are to test.
type providerCounts struct {
	fresh, refused, stale, staleRefusal, audience, list, failed, rejected, replayed int
}

// providerRequest is a request, with the primary keys of the providers that it asks for by themselves.
type providerRequest struct {
	caller    string
	process   int
	document  string
	variables map[string]any
	selection string
	roots     map[string]int32 // by their place in the response
	mutation  bool
}

// providerSelections are fields of a provider. The last one has none that a partial provider lacks.
var providerSelections = []string{
	"clientId accessTokenValidity logoutUri redirectUris { url } clientSecret",
	"clientId accessTokenValidity logoutUri redirectUris { url } clientSecret",
	"clientId", "logoutUri", "redirectUris { url }", "clientSecret", "name assignedApplicationName",
}

// lackedSelections are the coordinates of the selected fields that a partial provider lacks.
var lackedSelections = map[string]string{
	"clientId": "OAuth2Provider.clientId", "accessTokenValidity": "OAuth2Provider.accessTokenValidity",
	"logoutUri": "OAuth2Provider.logoutUri", "redirectUris": "OAuth2Provider.redirectUris",
	"clientSecret": "OAuth2Provider.clientSecret",
}

// selects reports whether a request selects one of the fields that are not redacted.
func (w *providerWorld) selects(q providerRequest, coordinates map[string]string) bool {
	for name, coordinate := range coordinates {
		if slices.Contains(strings.Fields(q.selection), name) && !slices.Contains(w.redacted, coordinate) {
			return true
		}
	}
	return false
}

// tells reports whether a response tells by a mark if it shows a provider's settings. The client secret does not, as
// not all who see the settings see it.
func (w *providerWorld) tells(q providerRequest) bool {
	marked := maps.Clone(lackedSelections)
	delete(marked, "clientSecret")
	marked["redirectUris"] = "RedirectURI.url"
	return w.selects(q, marked)
}

func newProviderWorld(t *testing.T, rt *rapid.T, redis *cachetest.RedisServer, counts *providerCounts) *providerWorld {
	w := &providerWorld{t: rt, test: t, clock: cachetest.NewClock(), redis: redis, counts: counts, revoked: map[string]int{}}
	w.up = upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8, Now: w.clock.Now})
	for pk := range int32(askedProviders - 1) {
		w.change(pk + 1)
		w.issue(pk + 1)
	}
	w.up.SetPermissions(upstreamtest.UserBob, upstreamtest.ViewProvider+":2")
	w.up.SetPermissions(upstreamtest.UserDave, upstreamtest.ViewProvider)
	w.ttl = rapid.SampledFrom([]time.Duration{0, 2 * time.Second, 6 * time.Second, 6 * time.Second}).Draw(rt, "CACHE_PROVIDER_TTL")
	w.staleIfError = rapid.SampledFrom([]time.Duration{0, 20 * time.Second, 20 * time.Second}).Draw(rt, "CACHE_STALE_IF_ERROR")
	redact := rapid.SampledFrom([]string{
		"", "", "-OAuth2Provider.clientSecret", "OAuth2Provider.logoutUri,RedirectURI.url", "OAuth2Provider.clientId", "AccessToken.claims",
	}).Draw(rt, "REDACT")
	if w.redacted = append(strings.Split(redact, ","), "OAuth2Provider.clientSecret"); redact == "-OAuth2Provider.clientSecret" {
		w.redacted = nil
	}
	settings := []string{"CACHE_TTL=4s", "CACHE_PROVIDER_TTL=" + w.ttl.String(), "CACHE_STALE_IF_ERROR=" + w.staleIfError.String(), "REDACT=" + redact}
	processes := 1
	if redis != nil {
		processes = 2
		w.store = goredis.NewClient(&goredis.Options{Addr: redis.Addr(), MaxRetries: -1, DialerRetries: 1}) // it may be killed
		if err := w.store.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		settings = append(settings, "REDIS_URL="+redis.URL(), "CACHE_SECRET="+testSecret)
	}
	for range processes {
		w.open(settings)
	}
	return w
}

// open starts a process with a clock of its own.
func (w *providerWorld) open(settings []string) {
	p := &providerProcess{}
	now := func() time.Time { return w.clock.Now().Add(time.Duration(p.skew.Load())) }
	p.server = httptest.NewServer(&providerWitness{authentik: w.up, answers: &w.answers, process: len(w.processes), now: now})
	var err error
	p.service, err = app.Open(app.Options{Environ: append(settings, "AUTHENTIK_URL="+p.server.URL), Stderr: io.Discard, Schema: schema(), Now: now})
	if err != nil {
		w.test.Fatal(err)
	}
	if w.redis != nil {
		cachetest.Eventually(w.test, "the process receives revocations", func() bool {
			return scrapeHandler(w.test, p.service.AdminHandler())["redis_in_sync"] == 1
		})
	}
	p.handler = p.service.Handler()
	w.processes = append(w.processes, p)
}

func (w *providerWorld) close() {
	for _, p := range w.processes {
		w.counts.replayed += int(scrapeHandler(w.test, p.service.AdminHandler())[`cache_reads_total{level="response",result="hit"}`])
		_ = p.service.Close(context.Background())
		p.server.Close()
	}
	w.up.Close()
	if w.store != nil {
		_ = w.store.Close()
	}
	if w.lost {
		w.redis.Restart()
	}
}

// change replaces a provider, or adds it.
func (w *providerWorld) change(pk int32) {
	now := w.clock.Now().UnixMilli()
	w.up.AddProvider(upstreamtest.Provider{PK: pk, Name: fmt.Sprintf("%d at %d", pk, now), ClientID: fmt.Sprintf("client-%d-%d", pk, now)})
}

// issue gives each user a token of a provider. Its audience is the client id that the provider has now.
func (w *providerWorld) issue(pk int32) {
	for _, owner := range []string{upstreamtest.UserAlice, upstreamtest.UserBob, upstreamtest.UserDave} {
		w.up.AddToken(upstreamtest.AccessTokens, upstreamtest.Token{Owner: owner, Provider: pk, NeverExpires: true})
	}
}

// drawRequest draws a request of any caller to any process.
func (w *providerWorld) drawRequest() providerRequest {
	id := func(what string, last int) string { return fmt.Sprint(rapid.IntRange(1, last).Draw(w.t, what)) }
	q := providerRequest{
		caller:    rapid.SampledFrom(slices.Sorted(maps.Keys(providerCallers))).Draw(w.t, "caller"),
		process:   rapid.IntRange(0, len(w.processes)-1).Draw(w.t, "process"),
		selection: rapid.SampledFrom(providerSelections).Draw(w.t, "selection"),
		variables: map[string]any{}, roots: map[string]int32{},
	}
	provider := "{ __typename pk " + q.selection + " }"
	token := "{ __typename id claims user { username } provider " + provider + " }"
	root := func(place, id string) {
		var pk int32
		_, _ = fmt.Sscan(id, &pk)
		q.roots[place] = pk
	}
	switch kind := rapid.SampledFrom([]string{"token", "page", "page", "all", "all", "by gqlgen", "provider", "providers", "entities"}).Draw(w.t, "kind"); kind {
	case "token":
		q.document, q.variables["id"] = "query($id: ID!) { accessToken(id: $id) "+token+" }", id("token", 30)
	case "page":
		q.document, q.variables["first"] = "query($first: Int) { accessTokens(first: $first) { nodes "+token+" } }", rapid.IntRange(1, 8).Draw(w.t, "first")
	case "all":
		q.document = "{ accessTokens(first: 100, order: OLDEST_FIRST) { nodes " + token + " } }"
	case "by gqlgen":
		q.document = "{ __schema { queryType { name } } accessTokens(first: 100) { edges { node " + token + " } } }"
	case "provider":
		q.document, q.variables["id"] = "query($id: ID!) { root: oauth2Provider(id: $id) "+provider+" }", id("provider", askedProviders)
		root("root", q.variables["id"].(string))
	case "providers":
		q.document = "{"
		for n := range rapid.IntRange(2, 8).Draw(w.t, "providers") {
			pk := id("provider", askedProviders)
			q.document += fmt.Sprintf(" p%d: oauth2Provider(id: %s) %s", n, pk, provider)
			root(fmt.Sprintf("p%d", n), pk)
		}
		q.document += " }"
	case "entities":
		a, b := id("provider", askedProviders), id("provider", askedProviders)
		q.document = fmt.Sprintf(`{ _entities(representations: [{__typename: "OAuth2Provider", id: "%s"}, {__typename: "AccessToken", id: "%s"}, {__typename: "OAuth2Provider", id: "%s"}])
			{ ... on OAuth2Provider %s ... on AccessToken %s } accessTokens(first: 2) { nodes %s } }`, a, id("token", 30), b, provider, token, token)
		root("_entities.0", a)
		root("_entities.2", b)
	}
	return q
}

// request asks for one thing, or for several at the same time.
func (w *providerWorld) request() {
	batch := []providerRequest{w.drawRequest()}
	for n := rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(w.t, "others"); n > 0; n-- {
		batch = append(batch, w.drawRequest())
	}
	w.sent = append(w.sent, batch...)
	w.ask(batch...)
}

// repeat sends an earlier request again, perhaps as another caller or to another process, and once more.
func (w *providerWorld) repeat() {
	if len(w.sent) == 0 {
		return
	}
	q := rapid.SampledFrom(w.sent).Draw(w.t, "again")
	switch rapid.IntRange(0, 4).Draw(w.t, "changed") {
	case 0:
		q.caller = rapid.SampledFrom(slices.Sorted(maps.Keys(providerCallers))).Draw(w.t, "caller")
	case 1:
		q.process = rapid.IntRange(0, len(w.processes)-1).Draw(w.t, "process")
	}
	w.ask(q)
	w.ask(q)
}

// revoke revokes a token, and waits until all processes know. The payload shows what is cached.
func (w *providerWorld) revoke() {
	const token = "{ __typename id claims user { username } provider { __typename pk clientId accessTokenValidity } }"
	q := providerRequest{
		caller: upstreamtest.UserRoot, process: rapid.IntRange(0, len(w.processes)-1).Draw(w.t, "process"), mutation: true,
		document:  "mutation($id: ID!) { revokeAccessToken(id: $id) { uncertain accessToken " + token + " } }",
		selection: "clientId accessTokenValidity",
		variables: map[string]any{"id": fmt.Sprint(rapid.IntRange(1, 24).Draw(w.t, "token"))},
	}
	received := func(p *providerProcess) float64 {
		return scrapeHandler(w.test, p.service.AdminHandler())["cache_revocations_received_total"]
	}
	var before []float64
	for _, p := range w.processes {
		before = append(before, received(p))
	}
	if got := w.ask(q); strings.Contains(got[0].Body.String(), "errors") {
		return
	}
	w.revoked[q.variables["id"].(string)] = q.process
	defer w.repeat()
	for i, p := range w.processes {
		if w.redis != nil && !w.lost {
			cachetest.Eventually(w.test, "the process receives the revocation", func() bool { return received(p) > before[i] })
		}
	}
}

// ask sends requests at the same time and checks the responses.
func (w *providerWorld) ask(batch ...providerRequest) []*httptest.ResponseRecorder {
	from, began := w.answers.count(), time.Now()
	got := make([]*httptest.ResponseRecorder, len(batch))
	var all sync.WaitGroup
	for i, q := range batch {
		all.Go(func() {
			body, _ := json.Marshal(map[string]any{"query": q.document, "variables": q.variables})
			r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(string(body)))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+providerCallers[q.caller])
			got[i] = httptest.NewRecorder()
			w.processes[q.process].handler.ServeHTTP(got[i], r)
		})
	}
	all.Wait()
	w.late = w.late || time.Since(began) > staleWaitAtMost
	w.answers.mu.Lock() // a read may go on in the background
	defer w.answers.mu.Unlock()
	check := newProviderCheck(w, batch, from)
	for i, q := range batch {
		check.response(q, got[i])
	}
	check.calls()
	return got
}

func (w *providerWorld) permit() {
	username := rapid.SampledFrom([]string{upstreamtest.UserAlice, upstreamtest.UserBob, upstreamtest.UserDave}).Draw(w.t, "user")
	view, change := upstreamtest.ViewProvider, upstreamtest.ChangeProvider
	w.up.SetPermissions(username, rapid.SampledFrom([][]string{nil, {view}, {view + ":2"}, {view + ":2", view + ":5", change + ":5"}}).Draw(w.t, "permissions")...)
}

// fail makes authentik fail for some providers, in a way that passes or not.
func (w *providerWorld) fail() {
	fault := rapid.SampledFrom([]upstreamtest.Fault{
		{}, {}, upstreamtest.Error500, upstreamtest.Error500, upstreamtest.Forbidden403, upstreamtest.TokenInvalid403, upstreamtest.BadRequest400, upstreamtest.WrongJSON, proxyPage(403),
	}).Draw(w.t, "fault")
	switch pk := rapid.Int32Range(-1, askedProviders).Draw(w.t, "of"); pk {
	case -1:
		w.up.SetListFault(upstreamtest.Providers, fault)
	default: // 0 is all of them
		w.up.SetResourceFault(upstreamtest.Providers, pk, fault)
	}
}

// outage makes authentik fail, or a caller be refused, after all answers have become stale.
func (w *providerWorld) outage() {
	for _, fault := range rapid.SampledFrom([][]upstreamtest.Fault{
		{upstreamtest.Error500}, {upstreamtest.Error500}, {upstreamtest.TokenInvalid403}, {upstreamtest.TokenInvalid403, upstreamtest.Error500}, {proxyPage(403), upstreamtest.Error500},
	}).Draw(w.t, "faults") {
		w.clock.Advance(w.ttl + time.Second)
		w.up.ClearFaults()
		w.up.SetResourceFault(upstreamtest.Providers, upstreamtest.AllRequests, fault)
		w.repeat()
	}
	w.up.ClearFaults()
}

// disturbRedis makes Redis fail, forget or mix up what it has, or repairs it.
func (w *providerWorld) disturbRedis() {
	if w.redis == nil || rapid.IntRange(0, 5).Draw(w.t, "rarely") > 0 {
		return
	}
	w.lost = true
	ctx := context.Background()
	switch rapid.SampledFrom([]string{"killed", "restarted", "flushed", "full", "swapped", "swapped"}).Draw(w.t, "Redis is") {
	case "killed":
		w.redis.Kill()
	case "restarted":
		w.redis.Restart()
	case "flushed":
		w.store.FlushAll(ctx)
	case "full":
		w.store.ConfigSet(ctx, "maxmemory", "1")
	case "swapped":
		names, _ := w.store.Keys(ctx, "*").Result()
		if slices.Sort(names); len(names) < 2 {
			return
		}
		one, two := rapid.SampledFrom(names).Draw(w.t, "one"), rapid.SampledFrom(names).Draw(w.t, "another")
		a, errA := w.store.Get(ctx, one).Result()
		b, errB := w.store.Get(ctx, two).Result()
		if errA == nil && errB == nil && !strings.HasSuffix(one, "}x") && !strings.HasSuffix(two, "}x") {
			w.store.Set(ctx, one, b, time.Minute)
			w.store.Set(ctx, two, a, time.Minute)
		}
	}
}

func (w *providerWorld) actions() map[string]func(*rapid.T) {
	pk := func() int32 { return rapid.Int32Range(1, askedProviders-1).Draw(w.t, "pk") }
	all := map[string]func(*rapid.T){}
	for name, do := range map[string]func(){
		"requests are sent": w.request, "others are sent": w.request,
		"one is repeated": w.repeat, "and again": w.repeat, "and once more": w.repeat,
		"time passes": func() {
			w.clock.Advance(time.Duration(rapid.IntRange(1, 1500).Draw(w.t, "ms")) * time.Millisecond)
		},
		"much time passes": func() { w.clock.Advance(w.ttl + time.Second) },
		"a clock moves": func() {
			p := w.processes[rapid.IntRange(0, len(w.processes)-1).Draw(w.t, "process")]
			p.skew.Store(int64(maxClockSkew) * int64(rapid.IntRange(-1, 1).Draw(w.t, "skew")))
		},
		"a permission changes": w.permit,
		"a provider changes":   func() { w.change(pk()) },
		"a token is issued":    func() { w.issue(pk()) },
		"authentik fails":      w.fail,
		"authentik recovers":   w.up.ClearFaults,
		"there is an outage":   w.outage, "and another one": w.outage,
		"a token is revoked":      w.revoke,
		"Redis fails or recovers": w.disturbRedis,
		"a provider goes and comes": func() {
			pk := pk()
			w.up.Remove(upstreamtest.Providers, pk)
			w.request()
			w.change(pk)
			w.issue(pk)
		},
	} {
		all[name] = func(t *rapid.T) { w.t = t; do() }
	}
	return all
}

// TestProvidersAreTheCallersOwn draws histories and checks that each response shows of a provider what authentik said
// about it to this very caller, in time, or a failure that there was.
func TestProvidersAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	redis := cachetest.StartRedis(t)
	for name, server := range map[string]*cachetest.RedisServer{"memory": nil, "redis": redis} {
		t.Run(name, func(t *testing.T) {
			var counts providerCounts
			rapid.Check(t, func(rt *rapid.T) {
				w := newProviderWorld(t, rt, server, &counts)
				defer w.close()
				rt.Repeat(w.actions())
				w.lookIntoRedis()
			})
			t.Logf("%+v", counts)
			if c := counts; min(c.fresh, c.refused, c.stale, c.staleRefusal, c.audience, c.list, c.failed, c.rejected, c.replayed) == 0 {
				t.Errorf("the histories miss something: %+v", c)
			}
		})
	}
}

// lookIntoRedis checks that Redis has nothing of providers and tokens in the clear.
func (w *providerWorld) lookIntoRedis() {
	if w.redis == nil || w.lost {
		return
	}
	ctx := w.test.Context()
	names, err := w.store.Keys(ctx, "*").Result()
	if err != nil {
		w.test.Fatal(err)
	}
	for _, name := range names {
		value, err := w.store.Get(ctx, name).Result()
		if err != nil && err != goredis.Nil { // it may have lapsed
			w.test.Fatal(err)
		}
		for _, plain := range []string{"client-", "secret-", "demo-", "alice", "root/", "provider", "oauth2", " at "} {
			if strings.Contains(name+"\n"+value, plain) {
				w.t.Errorf("%q is in Redis: %q, %q", plain, name, value)
			}
		}
	}
}

package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/graph/document"
	"authentik-graphql/graph/model"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// partialSource has grants whose provider is partial and has the grant's key. Refresh tokens have a whole one.
type partialSource struct {
	read func(pk upstream.PK) grants.ProviderRead
	// cached are the providers that CachedProvider finds.
	cached []upstream.PK

	mu    sync.Mutex
	asked [][]upstream.PK
}

func (s *partialSource) grant(resource upstream.Resource, pk upstream.PK) *upstream.Grant {
	p := &upstream.Provider{PK: pk, Name: new(fmt.Sprint("p", pk)), Partial: resource != upstream.RefreshTokens}
	if !p.Partial {
		p.ClientID = new("inside")
	}
	if resource == upstream.AccessTokens {
		p.Audience = new(fmt.Sprint("aud", pk))
	}
	return &upstream.Grant{PK: pk, Provider: p, Scope: []string{}}
}

func (s *partialSource) Grant(_ context.Context, _ grants.Caller, resource upstream.Resource, pk upstream.PK) (read GrantRead, err error) {
	if pk == drawnUnknown {
		return read, &upstream.Error{Kind: upstream.NotFound}
	}
	read.Value, read.Freshness = s.grant(resource, pk), freshFor(time.Second)
	return read, nil
}

func (s *partialSource) List(_ context.Context, _ grants.Caller, resource upstream.Resource, q upstream.Query) (read ListRead, err error) {
	read.Value = &upstream.Rows{}
	for i := range q.First {
		g := s.grant(resource, upstream.PK(i+1))
		g.PK += 100
		read.Value.Rows = append(read.Value.Rows, g)
	}
	read.Freshness = freshFor(time.Second)
	return read, nil
}

func (s *partialSource) Revoke(_ context.Context, _ grants.Caller, resource upstream.Resource, pk upstream.PK) (grants.Revocation, error) {
	return grants.Revocation{Grant: &GrantRead{Value: s.grant(resource, pk)}}, nil
}

func (s *partialSource) Providers(_ context.Context, _ grants.Caller, pks []upstream.PK) []grants.ProviderRead {
	s.mu.Lock()
	s.asked = append(s.asked, pks)
	s.mu.Unlock()
	reads := make([]grants.ProviderRead, len(pks))
	for i, pk := range pks {
		reads[i] = s.read(pk)
	}
	return reads
}

func (s *partialSource) CachedProvider(_ context.Context, _ grants.Caller, pk upstream.PK) (r grants.ProviderRead, ok bool) {
	if slices.Contains(s.cached, pk) {
		return s.read(pk), true
	}
	return r, false
}

func freshFor(d time.Duration) grants.Freshness {
	return grants.Freshness{FetchedAt: drawnNow, FreshUntil: drawnNow.Add(d), Cached: true}
}

// shownProvider is a provider that authentik gave.
func shownProvider(pk upstream.PK) grants.ProviderRead {
	p := &upstream.Provider{PK: pk, Name: new(fmt.Sprint("whole", pk))}
	p.ClientID, p.ClientType, p.GrantTypes = new(fmt.Sprint("c", pk)), new("public"), []string{"hybrid"}
	return grants.ProviderRead{Read: grants.Read[*upstream.Provider]{Value: p, Freshness: freshFor(time.Minute)}}
}

func refusedProvider(kind upstream.Kind) func(upstream.PK) grants.ProviderRead {
	return func(upstream.PK) grants.ProviderRead {
		return grants.ProviderRead{
			Read:    grants.Read[*upstream.Provider]{Freshness: freshFor(time.Minute)},
			Refusal: &upstream.Error{Kind: kind, Status: http.StatusForbidden},
		}
	}
}

func failedProvider(upstream.PK) grants.ProviderRead {
	return grants.ProviderRead{Err: &upstream.Error{Kind: upstream.Failed, Status: 500}}
}

// TestMissingProviders executes operations by plans and by gqlgen. want is the response's data and then the errors,
// each as "CODE path".
func TestMissingProviders(t *testing.T) {
	failing := func(failed ...upstream.PK) func(upstream.PK) grants.ProviderRead {
		return func(pk upstream.PK) grants.ProviderRead {
			if slices.Contains(failed, pk) {
				return failedProvider(pk)
			}
			return shownProvider(pk)
		}
	}
	for _, tt := range []struct {
		name, document string
		read           func(upstream.PK) grants.ProviderRead
		asked, want    string
	}{
		{"what a partial one has", `{ a: authorizationCode(id: 1) { provider { id pk name component __typename } } }`, shownProvider,
			`[]`, `{"a":{"provider":{"id":"1","pk":1,"name":"p1","component":null,"__typename":"OAuth2Provider"}}}`},
		{"what it lacks", `{ a: authorizationCode(id: 1) { provider { name clientId t: clientType grantTypes } } }`, shownProvider,
			`[[1]]`, `{"a":{"provider":{"name":"p1","clientId":"c1","t":"PUBLIC","grantTypes":["hybrid"]}}}`},
		{"of a whole one", `{ a: refreshToken(id: 1) { provider { clientId clientType } } }`, shownProvider,
			`[]`, `{"a":{"provider":{"clientId":"inside","clientType":null}}}`},
		{"skipped", `{ a: authorizationCode(id: 1) { provider { name clientId @skip(if: true) } } }`, shownProvider,
			`[]`, `{"a":{"provider":{"name":"p1"}}}`},
		{"in fragments", `{ a: authorizationCode(id: 1) { ... on Grant { ...F } provider { name } } } fragment F on Grant { provider { ... { clientId } } }`, shownProvider,
			`[[1]]`, `{"a":{"provider":{"clientId":"c1","name":"p1"}}}`},
		{"redacted", `{ a: authorizationCode(id: 1) { provider { subMode } } }`, shownProvider,
			`[]`, `{"a":{"provider":{"subMode":null}}}`},
		{"one for all", `{ a: authorizationCode(id: 1) { provider { clientId } } b: authorizationCode(id: 1) { provider { clientType } } c: accessToken(id: 1) { provider { clientId } } d: oauth2Provider(id: 1) { name } }`, shownProvider,
			`[[1]]`, `{"a":{"provider":{"clientId":"c1"}},"b":{"provider":{"clientType":"PUBLIC"}},"c":{"provider":{"clientId":"c1"}},"d":{"name":"whole1"}}`},
		{"only where it is selected", `{ a: authorizationCode(id: 1) { provider { name } } b: authorizationCode(id: 2) { provider { clientId } } }`, shownProvider,
			`[[2]]`, `{"a":{"provider":{"name":"p1"}},"b":{"provider":{"clientId":"c2"}}}`},
		{"of a list", `{ l: authorizationCodes(first: 3) { edges { node { provider { clientId } } } nodes { provider { clientId } } } }`, shownProvider,
			`[[1 2 3]]`, `{"l":{"edges":[{"node":{"provider":{"clientId":"c1"}}},{"node":{"provider":{"clientId":"c2"}}},{"node":{"provider":{"clientId":"c3"}}}],"nodes":[{"provider":{"clientId":"c1"}},{"provider":{"clientId":"c2"}},{"provider":{"clientId":"c3"}}]}}`},
		{"refused", `{ a: authorizationCode(id: 1) { provider { name clientId clientType } } }`, refusedProvider(upstream.Forbidden),
			`[[1]]`, `{"a":{"provider":{"name":"p1","clientId":null,"clientType":null}}}`},
		{"not found", `{ a: authorizationCode(id: 1) { provider { clientId } } }`, refusedProvider(upstream.NotFound),
			`[[1]]`, `{"a":{"provider":{"clientId":null}}}`},
		{"refused, named by a token", `{ a: authorizationCode(id: 1) { provider { clientId clientType } } b: authorizationCode(id: 2) { provider { clientId } } c: accessToken(id: 1) { id } }`, refusedProvider(upstream.Forbidden),
			`[[1 2]]`, `{"a":{"provider":{"clientId":"aud1","clientType":null}},"b":{"provider":{"clientId":null}},"c":{"id":"1"}}`},
		{"refused, named by a list", `{ a: authorizationCode(id: 2) { provider { clientId } } l: accessTokens(first: 2) { totalCount } }`, refusedProvider(upstream.Forbidden),
			`[[2]]`, `{"a":{"provider":{"clientId":"aud2"}},"l":{"totalCount":0}}`},
		{"failed", `{ a: authorizationCode(id: 1) { provider { name y: clientType clientId } } }`, failing(1),
			`[[1]]`, `{"a":{"provider":{"name":"p1","y":null,"clientId":null}}} UPSTREAM_ERROR [a provider y]`},
		{"failed, named by a token", `{ a: accessToken(id: 1) { provider { clientId } } }`, failing(1),
			`[[1]]`, `{"a":{"provider":{"clientId":null}}} UPSTREAM_ERROR [a provider clientId]`},
		{"some of a list failed", `{ l: authorizationCodes(first: 3) { edges { node { pk } } nodes { provider { clientId } } } b: authorizationCode(id: 3) { provider { clientType } } }`, failing(1, 3),
			`[[1 2 3]]`, `{"l":{"edges":[{"node":{"pk":101}},{"node":{"pk":102}},{"node":{"pk":103}}],"nodes":[{"provider":{"clientId":null}},{"provider":{"clientId":"c2"}},{"provider":{"clientId":null}}]},"b":{"provider":{"clientType":null}}} UPSTREAM_ERROR [l nodes 0 provider clientId] UPSTREAM_ERROR [l nodes 2 provider clientId]`},
		{"over the limit", `{ l: authorizationCodes(first: 6) { nodes { provider { clientId } } } }`, shownProvider,
			`[[1 2 3 4]]`, `{"l":{"nodes":[{"provider":{"clientId":"c1"}},{"provider":{"clientId":"c2"}},{"provider":{"clientId":"c3"}},{"provider":{"clientId":"c4"}},{"provider":{"clientId":null}},{"provider":{"clientId":null}}]}} LIMIT_EXCEEDED [l nodes 4 provider clientId]`},
		{"beside a grant that fails", `{ a: authorizationCode(id: 404) { provider { clientId } } b: authorizationCode(id: 1) { provider { clientId } } }`, shownProvider,
			`[[1]]`, `{"a":null,"b":{"provider":{"clientId":"c1"}}} NOT_FOUND [a]`},
		{"beside a wrong id", `{ a: authorizationCode(id: "x") { provider { clientId } } b: oauth2Provider(id: "01") { name } c: oauth2Provider(id: 2) { id name clientId } }`, shownProvider,
			`[[2]]`, `{"a":null,"b":null,"c":{"id":"2","name":"whole2","clientId":"c2"}} BAD_USER_INPUT [a] BAD_USER_INPUT [b]`},
		{"by itself, forbidden", `{ a: oauth2Provider(id: 1) { id } }`, refusedProvider(upstream.Forbidden),
			`[[1]]`, `{"a":null} FORBIDDEN [a]`},
		{"by itself, not found", `{ a: oauth2Provider(id: 1) { __typename } b: oauth2Provider(id: 1) { id } }`, refusedProvider(upstream.NotFound),
			`[[1]]`, `{"a":null,"b":null} NOT_FOUND [a] NOT_FOUND [b]`},
		{"by itself, failed", `{ a: oauth2Provider(id: 1) { id } b: authorizationCode(id: 1) { provider { clientId } } }`, failing(1),
			`[[1]]`, `{"a":null,"b":{"provider":{"clientId":null}}} UPSTREAM_ERROR [a] UPSTREAM_ERROR [b provider clientId]`},
		{"in the order of the response", `{ a: oauth2Provider(id: 1) { id } b: oauth2Provider(id: 2) { id } c: oauth2Provider(id: 1) { id } x: authorizationCode(id: 2) { provider { clientId } } y: authorizationCode(id: 1) { provider { clientId } } }`, failing(1, 2),
			`[[1 2]]`, `{"a":null,"b":null,"c":null,"x":{"provider":{"clientId":null}},"y":{"provider":{"clientId":null}}} UPSTREAM_ERROR [a] UPSTREAM_ERROR [b] UPSTREAM_ERROR [c] UPSTREAM_ERROR [x provider clientId] UPSTREAM_ERROR [y provider clientId]`},
		{"by itself, over the limit", `{ a: oauth2Provider(id: 1) { id } b: oauth2Provider(id: 2) { id } c: oauth2Provider(id: 3) { id } d: oauth2Provider(id: 4) { id } e: oauth2Provider(id: 5) { id } f: oauth2Provider(id: 6) { id } }`, shownProvider,
			`[[1 2 3 4]]`, `{"a":{"id":"1"},"b":{"id":"2"},"c":{"id":"3"},"d":{"id":"4"},"e":null,"f":null} LIMIT_EXCEEDED [e] LIMIT_EXCEEDED [f]`},
		{"entities", `{ _entities(representations: [{__typename: "OAuth2Provider", id: 2}, {__typename: "OAuth2Provider", id: "x"}, {__typename: "AuthorizationCode", id: 1}, {__typename: "OAuth2Provider", id: 1}, {__typename: "OAuth2Provider", id: 3}]) { __typename ... on OAuth2Provider { name } ... on AuthorizationCode { provider { clientId } } } }`, failing(3),
			`[[2 1 3]]`, `{"_entities":[{"__typename":"OAuth2Provider","name":"whole2"},null,{"__typename":"AuthorizationCode","provider":{"clientId":"c1"}},{"__typename":"OAuth2Provider","name":"whole1"},null]} BAD_USER_INPUT [_entities 1] UPSTREAM_ERROR [_entities 4]`},
		{"in deferred fragments", `{ a: authorizationCode(id: 1) { ... @defer { provider { clientId } } } ... @defer { b: authorizationCode(id: 2) { provider { clientId } } } }`, shownProvider,
			`[[1 2]]`, `{"a":{"provider":{"clientId":"c1"}},"b":{"provider":{"clientId":"c2"}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limits := DefaultLimits()
			limits.UpstreamCalls = 4
			for _, with := range []string{"a plan", "gqlgen"} {
				source := &partialSource{read: tt.read}
				got, _ := ask(t.Context(), serverOf(t, source, limits, with == "a plan"), tt.document, nil)
				if text := summary(t, got.Body.Bytes()); text != tt.want {
					t.Errorf("%s\ngot  %s\nwant %s", with, text, tt.want)
				}
				if asked := fmt.Sprint(source.asked); asked != tt.asked {
					t.Errorf("%s asked for %s, want %s", with, asked, tt.asked)
				}
			}
		})
	}
}

// serverOf is the endpoint over a source, with plans or without. It redacts OAuth2Provider.subMode.
func serverOf(t *testing.T, source GrantSource, limits document.Limits, plans bool) http.Handler {
	t.Helper()
	resolver := &Resolver{
		Grants: source, Now: func() time.Time { return drawnNow },
		Redacted: func(coordinate string) bool { return coordinate == "OAuth2Provider.subMode" },
	}
	h := NewHandler(resolver, Options{Limits: limits, Documents: NewTestLibrary(t, limits), Federation: true, Introspection: true}).(transport)
	if !plans {
		h.planner.query = reflect.Value{}
	}
	return h
}

// summary is the data of a response and its errors, each as "CODE path".
func summary(t *testing.T, body []byte) string {
	t.Helper()
	var r struct {
		Data   json.RawMessage
		Errors []struct {
			Path       []any
			Extensions struct{ Code string }
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	var errs []string
	for _, e := range r.Errors {
		errs = append(errs, fmt.Sprintf(" %s %v", e.Extensions.Code, e.Path))
	}
	if !slices.ContainsFunc(errs, func(e string) bool { return strings.Contains(e, " UPSTREAM") }) {
		slices.Sort(errs) // root fields fail concurrently
	}
	return string(r.Data) + strings.Join(errs, "")
}

// TestMissingProvidersOfMutations shows what is cached and asks for nothing.
func TestMissingProvidersOfMutations(t *testing.T) {
	const document = `mutation {
		a: revokeAuthorizationCode(id: 1) { authorizationCode { provider { name clientId } } }
		b: revokeAuthorizationCode(id: 2) { authorizationCode { provider { name clientId } } }
		c: revokeAccessToken(id: 3) { accessToken { provider { clientId clientType } } }
	}`
	source := &partialSource{read: shownProvider, cached: []upstream.PK{1}}
	got, _ := ask(t.Context(), serverOf(t, source, DefaultLimits(), true), document, nil)
	want := `{"a":{"authorizationCode":{"provider":{"name":"p1","clientId":"c1"}}},` +
		`"b":{"authorizationCode":{"provider":{"name":"p2","clientId":null}}},` +
		`"c":{"accessToken":{"provider":{"clientId":"aud3","clientType":null}}}}`
	if text := summary(t, got.Body.Bytes()); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if len(source.asked) > 0 || got.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("asked for %v, Cache-Control %s", source.asked, got.Header().Get("Cache-Control"))
	}
}

// TestAudiences gives no client id of a provider if tokens name several.
func TestAudiences(t *testing.T) {
	token := func(pk, provider upstream.PK, aud string) *read {
		return &read{value: GrantRead{Value: &upstream.Grant{PK: pk, Provider: &upstream.Provider{PK: provider, Audience: &aud}}}}
	}
	r := &Request{reads: map[readKey]*read{
		{pk: 1}: token(1, 1, "a"), {pk: 2}: token(2, 1, "a"),
		{pk: 3}: token(3, 2, "a"), {pk: 4}: token(4, 2, "b"), {pk: 5}: token(5, 2, "a"),
		{pk: 6}: {value: GrantRead{Value: &upstream.Grant{PK: 6}}}, {pk: 7}: {},
	}}
	got := r.audiences()
	if len(got) != 2 || got[1] == nil || *got[1] != "a" || got[2] != nil {
		t.Errorf("got %v", got)
	}
}

// TestProvidersPanic answers with an error if the source of providers panics.
func TestProvidersPanic(t *testing.T) {
	for _, document := range []string{
		`{ authorizationCode(id: 1) { provider { clientId } } }`,
		`{ authorizationCode(id: 1) { provider { clientId } } oauth2Provider(id: 2) { id } _service { sdl } }`,
	} {
		source := &partialSource{read: func(upstream.PK) grants.ProviderRead { panic("a panic") }}
		got, facts := ask(t.Context(), serverOf(t, source, DefaultLimits(), true), document, nil)
		if !strings.Contains(got.Body.String(), apierror.Internal) || facts.Err == nil {
			t.Errorf("%s: %d %s, %v", document, got.Code, got.Body, facts.Err)
		}
	}
}

// TestMutationStandsWhereProvidersPanic: what was revoked is said to be, even if its provider cannot be shown.
func TestMutationStandsWhereProvidersPanic(t *testing.T) {
	source := &partialSource{read: func(upstream.PK) grants.ProviderRead { panic("a panic") }, cached: []upstream.PK{1}}
	got, facts := ask(t.Context(), serverOf(t, source, DefaultLimits(), true), `mutation { a: revokeAuthorizationCode(id: 1) { id authorizationCode { provider { name clientId } } } }`, nil)
	want := `{"a":{"id":"1","authorizationCode":{"provider":{"name":"p1","clientId":null}}}} INTERNAL_SERVER_ERROR []`
	if text := summary(t, got.Body.Bytes()); text != want || facts.Err == nil {
		t.Errorf("got %s, %v", text, facts.Err)
	}
}

// TestProviderIsMappedOnce shows a provider with many redirect URIs in many rows, which takes no more memory than in
// one.
func TestProviderIsMappedOnce(t *testing.T) {
	whole := shownProvider(1)
	for range 10_000 {
		whole.Value.RedirectURIs = append(whole.Value.RedirectURIs, upstream.RedirectURI{URL: new("https://app.example.com/")})
	}
	c := &completion{}
	w := &wanted{pk: 1}
	for range 1000 {
		w.shown = append(w.shown, &model.OAuth2Provider{Pk: 1, Partial: true})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.show(w, whole, nil)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("%d MiB were allocated", took>>20)
	}
	if last := w.shown[999]; len(last.RedirectUris) != 10_000 || *last.ClientID != "c1" || last.Name != nil {
		t.Errorf("got %+v", last)
	}
}

// waitingSource does not give providers until the context ends.
type waitingSource struct{ partialSource }

func (s *waitingSource) Providers(ctx context.Context, _ grants.Caller, pks []upstream.PK) []grants.ProviderRead {
	<-ctx.Done()
	reads := make([]grants.ProviderRead, len(pks))
	for i := range reads {
		reads[i].Err = ctx.Err()
	}
	return reads
}

// TestProvidersTakeTooLong answers in time with what there is, if authentik does not give the providers.
func TestProvidersTakeTooLong(t *testing.T) {
	for _, plans := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := serverOf(t, &waitingSource{}, DefaultLimits(), plans)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got, facts := ask(ctx, h, `{ a: authorizationCode(id: 1) { provider { name clientId } } b: oauth2Provider(id: 2) { id } }`, nil)
			want := `{"a":{"provider":{"name":"p1","clientId":null}},"b":null} GATEWAY_TIMEOUT [a provider clientId] GATEWAY_TIMEOUT [b]`
			if text := summary(t, got.Body.Bytes()); got.Code != 200 || text != want {
				t.Errorf("%d %s", got.Code, text)
			}
			if !errors.Is(facts.Err, context.DeadlineExceeded) {
				t.Errorf("logged %v", facts.Err)
			}
		})
	}
}

// TestFreshnessOfProviders: the age is that of the grants, the end that of the first read of any kind.
func TestFreshnessOfProviders(t *testing.T) {
	now := drawnNow
	at := func(fetched, until time.Duration, stale grants.Staleness) grants.Freshness {
		return grants.Freshness{FetchedAt: now.Add(fetched), FreshUntil: now.Add(until), Cached: true, Stale: stale}
	}
	grant := at(-2*time.Second, 3*time.Second, "")
	stale := at(-9*time.Second, -time.Second, grants.StaleIfError)
	for _, tt := range []struct {
		name                 string
		grants, providers    []grants.Freshness
		status, control, age string
		extension            *staleness
		replayable           bool
	}{
		{"a provider ends later", []grants.Freshness{grant}, []grants.Freshness{at(-50*time.Second, 10*time.Second, "")},
			"hit; ttl=3", "private, max-age=3", "2", nil, true},
		{"a provider ends first", []grants.Freshness{grant}, []grants.Freshness{at(-59*time.Second, time.Second, ""), at(0, time.Minute, "")},
			"hit; ttl=1", "private, max-age=1", "2", nil, true},
		{"providers alone", nil, []grants.Freshness{at(-50*time.Second, 10*time.Second, ""), at(0, time.Minute, "")},
			"hit; ttl=10", "private, max-age=10", "50", nil, true},
		{"a stale provider", []grants.Freshness{grant}, []grants.Freshness{at(0, time.Minute, ""), at(-70*time.Second, -10*time.Second, grants.StaleWhileRevalidate)},
			"hit; ttl=-10; detail=stale-while-revalidate", "no-store", "2", &staleness{"STALE", 2, grants.StaleWhileRevalidate}, false},
		{"a stale provider alone", nil, []grants.Freshness{at(-70*time.Second, -10*time.Second, grants.StaleIfError)},
			"fwd=stale; detail=stale-if-error", "no-store", "70", &staleness{"STALE", 70, grants.StaleIfError}, false},
		{"a stale grant", []grants.Freshness{stale}, []grants.Freshness{at(0, time.Minute, "")},
			"fwd=stale; detail=stale-if-error", "no-store", "9", &staleness{"STALE", 9, grants.StaleIfError}, false},
		{"a provider that was loaded", []grants.Freshness{grant}, []grants.Freshness{{FetchedAt: now, FreshUntil: now.Add(time.Minute)}},
			"hit; ttl=3", "private, max-age=3", "2", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Request{reads: map[readKey]*read{}}
			for i, freshness := range tt.grants {
				r.reads[readKey{pk: upstream.PK(i + 1)}] = &read{freshness: freshness}
			}
			var reads []grants.ProviderRead
			for _, freshness := range tt.providers {
				reads = append(reads, grants.ProviderRead{Read: grants.Read[*upstream.Provider]{Freshness: freshness}})
			}
			r.noteProviders(append(reads, failedProvider(1)))
			r.allowReplay(true)
			h := http.Header{}
			extension := r.setFreshness(h, false, now)
			for name, want := range map[string]string{"Cache-Status": "authentik-graphql; " + tt.status, "Cache-Control": tt.control, "Age": tt.age} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if (extension == nil) != (tt.extension == nil) || extension != nil && *extension != *tt.extension {
				t.Errorf("extensions.cache: got %v, want %v", extension, tt.extension)
			}
			p := r.Provenance()
			if (p != nil) != tt.replayable || p != nil && len(p.Dependencies) != len(tt.grants)+len(tt.providers) {
				t.Errorf("provenance %+v", p)
			}
		})
	}
}

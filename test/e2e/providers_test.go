package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// introspected is an operation that gqlgen executes, as the plans do not cover introspection.
func introspected(document string) string {
	return strings.TrimSuffix(document, "}") + "__schema { queryType { name } } }"
}

// summaryOf is the data of a response, without what introspected adds, and its errors, each as "CODE path".
func summaryOf(r reply) string {
	text := strings.TrimSuffix(string(r.Data), `,"__schema":{"queryType":{"name":"Query"}}}`)
	if len(text) < len(r.Data) {
		text += "}"
	}
	for _, e := range r.Errors {
		text += fmt.Sprintf(" %s %v", e.Extensions.Code, e.Path)
	}
	return text
}

// viewersOf gives alice permissions in an authentik of 2026.8.
func viewersOf(permissions ...string) upstreamtest.Options {
	return upstreamtest.Options{Release: upstreamtest.R2026_8, Permissions: map[string][]string{upstreamtest.UserAlice: permissions}}
}

// TestNoProviderIsRead asks for nothing that a partial provider lacks, in every release.
func TestNoProviderIsRead(t *testing.T) {
	t.Parallel()
	for _, release := range upstreamtest.Releases() {
		a := newDirect(t, upstreamtest.Options{Release: release})
		a.addGrants(17, upstreamtest.ProviderGrafana)
		for _, document := range []string{
			`{ authorizationCode(id: 17) { provider { id pk name assignedApplicationName } } }`,
			`{ accessTokens { nodes { provider { name clientSecret } } } }`, // which is redacted
			`query($yes: Boolean = true) { refreshToken(id: 17) { provider { clientId @skip(if: $yes) authorizationFlow } } }`,
			`{ authorizationCode(id: 17) { pk } _entities(representations: [{__typename: "AccessToken", id: 17}]) { __typename } }`,
		} {
			if got := a.query(upstreamtest.TokenRoot, document, `{}`); len(got.Errors) > 0 {
				t.Errorf("%s: %s", release, got.Body)
			}
		}
		if n := a.providerCalls(); n != 0 {
			t.Errorf("%s: %d calls for providers", release, n)
		}
	}
}

// pageOf is a page of a hundred codes with the client ids of their providers.
const pageOf = `{ authorizationCodes(first: 100) { nodes { provider { pk clientId } } } }`

// addCodesOf adds a hundred codes of alice, of the providers in turn.
func addCodesOf(up *fake, expires time.Time, providers []int32) {
	for i := range 100 {
		up.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Provider: providers[i%len(providers)], Expires: expires})
	}
}

// addProviders adds n providers, whose keys are from 4 on.
func addProviders(up *fake, n int) {
	for range n {
		up.AddProvider(upstreamtest.Provider{})
	}
}

// TestPageOfProviders counts the calls that a page of grants costs for its providers: cold, and again.
func TestPageOfProviders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, token    string
		added          int // providers beside the three of the world
		of             []int32
		limit          int
		singly, listed int
		ids, errs      int // client ids that are shown, errors
	}{
		{"five", upstreamtest.TokenRoot, 5, []int32{1, 2, 3, 4, 5}, 100, 5, 0, 100, 0},
		{"five that are refused", upstreamtest.TokenAlice, 5, []int32{1, 2, 3, 4, 5}, 100, 5, 0, 0, 0},
		{"eight", upstreamtest.TokenRoot, 5, []int32{1, 2, 3, 4, 5, 6, 7, 8}, 100, 0, 1, 100, 0},
		{"eight that are refused", upstreamtest.TokenAlice, 5, []int32{1, 2, 3, 4, 5, 6, 7, 8}, 100, 0, 1, 0, 0},
		// authentik lists providers by name: 9, 81 to 89 and 90 to 99 are beyond the first hundred.
		{"ten of 120", upstreamtest.TokenRoot, 117, []int32{1, 2, 3, 40, 50, 60, 80, 97, 98, 99}, 100, 3, 1, 100, 0},
		{"five, three are allowed", upstreamtest.TokenRoot, 5, []int32{1, 2, 3, 4, 5}, 3, 3, 0, 60, 1},
		{"ten, eight are allowed", upstreamtest.TokenRoot, 7, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 8, 0, 1, 80, 1},
	} {
		for form, document := range map[string]string{"plan": pageOf, "gqlgen": introspected(pageOf)} {
			t.Run(tt.name+"/"+form, func(t *testing.T) {
				a := newDirect(t, upstreamtest.Options{Release: upstreamtest.R2026_8}, fmt.Sprint("OPERATION_UPSTREAM_CALLS=", tt.limit))
				addProviders(a.up, tt.added)
				addCodesOf(a.up, a.clock.Now().Add(time.Hour), tt.of)
				for try, cold := range []bool{true, false} {
					a.up.ResetCalls()
					got := a.query(tt.token, document, `{}`)
					if n := strings.Count(string(got.Data), `"clientId":"`); n != tt.ids || len(got.Errors) != tt.errs {
						t.Errorf("try %d: %d client ids, want %d; %.1000s", try, n, tt.ids, got.Body)
					}
					for _, e := range got.Errors {
						if e.Extensions.Code != "LIMIT_EXCEEDED" || e.Extensions.Limit != "OPERATION_UPSTREAM_CALLS" || !strings.HasSuffix(fmt.Sprint(e.Path), "provider clientId]") {
							t.Errorf("%+v", e)
						}
					}
					calls := a.up.Calls()
					pages, providers := calls.ByResource[upstreamtest.AuthorizationCodes], calls.ByResource[upstreamtest.Providers]
					if !cold && calls.Total > 0 || cold && (pages.Total != 1 || providers.Retrieve != tt.singly || providers.List != tt.listed) {
						t.Errorf("try %d: %+v", try, calls)
					}
				}
			})
		}
	}
}

// TestProvidersInRedis: what one process read of providers, refusals too, costs another nothing.
func TestProvidersInRedis(t *testing.T) {
	t.Parallel()
	rs := cachetest.StartRedis(t)
	up := startFake(t, upstreamtest.Options{Release: upstreamtest.R2026_8})
	addProviders(up, 5)
	addCodesOf(up, time.Now().Add(time.Hour), []int32{1, 2, 3, 4, 5, 6, 7, 8})
	settings := []string{"AUTHENTIK_URL=" + up.URL, "REDIS_URL=" + rs.URL(), "CACHE_SECRET=" + testSecret, "CACHE_TTL=1h", "CACHE_PROVIDER_TTL=1h"}
	first, second := startApp(t, nil, settings...), startApp(t, nil, settings...)
	const few = `{ authorizationCodes(first: 3) { nodes { provider { clientType subMode } } } }`
	for _, document := range []string{few, pageOf} {
		for _, token := range []string{upstreamtest.TokenRoot, upstreamtest.TokenAlice} {
			want := query(t, first.URL, token, document)
			up.ResetCalls()
			got := query(t, second.URL, token, document)
			if n := up.Calls().Total; n != 0 || string(got.Body) != string(want.Body) || len(got.Errors) > 0 {
				t.Errorf("%s: %d calls: %s, want %s", token, n, got.Body, want.Body)
			}
			if shown := !strings.Contains(string(got.Body), "null"); shown != (token == upstreamtest.TokenRoot) {
				t.Errorf("%s: %s", token, got.Body)
			}
		}
	}
}

// TestClientIDOfTokens: a caller who may not view a provider gets its client id from its tokens in the operation.
func TestClientIDOfTokens(t *testing.T) {
	t.Parallel()
	const (
		code, access, refresh = `c: authorizationCode(id: 17) { provider { clientId } }`, `a: accessToken(id: 17) { id }`, `r: refreshToken(id: 17) { id }`
		none                  = `{"c":{"provider":{"clientId":null}}`
		named                 = `{"c":{"provider":{"clientId":"grafana-client-id"}}`
	)
	list := `l: accessTokens { nodes { provider { name clientId clientType } } }`
	example := regexp.MustCompile("(?s)## Client ids\n.*?```graphql\n{(.*?)}\n```").FindStringSubmatch(file(t, "docs/clients.md"))[1]
	for _, tt := range []struct{ name, redact, document, want string }{
		{"a code alone", "", code, none + `}`},
		{"with an access token", "", code + access, named + `,"a":{"id":"17"}}`},
		{"with a refresh token", "", code + refresh, named + `,"r":{"id":"17"}}`},
		{"with a token of another provider", "", code + `a: accessToken(id: 18) { id }`, none + `,"a":{"id":"18"}}`},
		{"with a list", "", code + list, named + `,"l":{"nodes":[{"provider":{"name":"Mobile","clientId":"mobile-client-id","clientType":null}},{"provider":{"name":"Grafana","clientId":"grafana-client-id","clientType":null}}]}}`},
		{"the example of the page", "", example, `{"authorizationCodes":{"nodes":[{"id":"18","provider":{"name":"Mobile","clientId":"mobile-client-id"}},{"id":"17","provider":{"name":"Grafana","clientId":"grafana-client-id"}}]},"accessTokens":{"totalCount":2}}`},
		{"with an entity", "", code + `_entities(representations: [{__typename: "AccessToken", id: 17}]) { __typename }`, named + `,"_entities":[{"__typename":"AccessToken"}]}`},
		{"the client id is redacted", "OAuth2Provider.clientId", code + access, none + `,"a":{"id":"17"}}`},
		{"the claims are redacted", "AccessToken.claims", code + access, none + `,"a":{"id":"17"}}`},
		{"the claims of the other type are redacted", "RefreshToken.claims", code + access, named + `,"a":{"id":"17"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newDirect(t, upstreamtest.Options{Release: upstreamtest.R2026_8}, "REDACT="+tt.redact)
			a.addGrants(17, upstreamtest.ProviderGrafana)
			a.addGrants(18, upstreamtest.ProviderMobile)
			for range 2 { // loaded, then cached
				for _, document := range []string{"{ " + tt.document + " }", introspected("{ " + tt.document + " }")} {
					if got := summaryOf(a.query(upstreamtest.TokenAlice, document, `{}`)); got != tt.want {
						t.Errorf("got  %s\nwant %s", got, tt.want)
					}
				}
			}
		})
	}
}

// TestClientSecret shows the secret to those to whom authentik shows it, if the redaction is lifted.
func TestClientSecret(t *testing.T) {
	t.Parallel()
	const secret = `"grafana-client-secret-0123456789"`
	older, viewer := upstreamtest.Options{Release: upstreamtest.R2026_2}, viewersOf(upstreamtest.ViewProvider)
	earlier := viewer
	earlier.Release = upstreamtest.R2026_5
	for _, tt := range []struct {
		name, token, redact string
		options             upstreamtest.Options
		want                string
		calls               int
	}{
		{"redacted", upstreamtest.TokenRoot, "", viewer, "null", 0},
		{"superuser", upstreamtest.TokenRoot, "none", viewer, secret, 1},
		{"may change it", upstreamtest.TokenAlice, "none", viewersOf(upstreamtest.ViewProvider, upstreamtest.ChangeProvider+":1"), secret, 1},
		{"may view it", upstreamtest.TokenAlice, "none", viewer, "null", 1},
		{"may view it in 2026.5.0", upstreamtest.TokenAlice, "none", earlier, secret, 1},
		{"may not view it", upstreamtest.TokenAlice, "none", viewersOf(), "null", 1},
		{"a release before 2026.2.3", upstreamtest.TokenAlice, "none", older, secret, 0},
		{"redacted, a release before 2026.2.3", upstreamtest.TokenAlice, "", older, "null", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newDirect(t, tt.options, "REDACT="+tt.redact)
			a.addGrants(17, upstreamtest.ProviderGrafana)
			want := `{"authorizationCode":{"provider":{"clientSecret":` + tt.want + `}}}`
			got := a.query(tt.token, `{ authorizationCode(id: 17) { provider { clientSecret } } }`, `{}`)
			if text := summaryOf(got); text != want {
				t.Errorf("got %s, want %s", text, want)
			}
			if n := a.providerCalls(); n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
		})
	}
}

// TestOneProvider asks over HTTP for providers by id and as entities, executed by plans and by gqlgen.
func TestOneProvider(t *testing.T) {
	t.Parallel()
	const (
		grafana = `{ p: oauth2Provider(id: 1) { id name clientId subMode } }`
		shown   = `{"p":{"id":"1","name":"Grafana","clientId":"grafana-client-id","subMode":"HASHED_USER_ID"}}`
	)
	entities := `{ _entities(representations: [{__typename: "OAuth2Provider", id: 2}, {__typename: "OAuth2Provider", id: "x"}, {__typename: "OAuth2Provider", id: "1"},
		{__typename: "AuthorizationCode", id: 17}, {__typename: "OAuth2Provider", id: 99}, {__typename: "OAuth2Provider"}]) {
		... on OAuth2Provider { name clientType } ... on AuthorizationCode { provider { clientId } } } }`
	const rest = ` BAD_USER_INPUT [_entities 1] BAD_USER_INPUT [_entities 5]`
	viewer := viewersOf(upstreamtest.ViewProvider)
	for _, tt := range []struct {
		name, token, document string
		options               upstreamtest.Options
		want                  string
		calls                 int
	}{
		{"superuser", upstreamtest.TokenRoot, grafana, viewer, shown, 1},
		{"may view all", upstreamtest.TokenAlice, grafana, viewer, shown, 1},
		{"may view this one", upstreamtest.TokenAlice, grafana, viewersOf(upstreamtest.ViewProvider + ":1"), shown, 1},
		{"may view another", upstreamtest.TokenAlice, grafana, viewersOf(upstreamtest.ViewProvider + ":2"), `{"p":null} NOT_FOUND [p]`, 1},
		{"may view none", upstreamtest.TokenAlice, grafana, viewersOf(), `{"p":null} FORBIDDEN [p]`, 1},
		{"in an older release", upstreamtest.TokenRoot, grafana, upstreamtest.Options{Release: upstreamtest.R2023_10}, shown, 1},
		{"unknown", upstreamtest.TokenAlice, `{ p: oauth2Provider(id: "99") { name } }`, viewer, `{"p":null} NOT_FOUND [p]`, 1},
		{"no number", upstreamtest.TokenAlice, `{ p: oauth2Provider(id: "abc") { name } }`, viewer, `{"p":null} BAD_USER_INPUT [p]`, 0},
		{"zero", upstreamtest.TokenAlice, `{ p: oauth2Provider(id: 0) { name } }`, viewer, `{"p":null} BAD_USER_INPUT [p]`, 0},
		{"too large", upstreamtest.TokenAlice, `{ p: oauth2Provider(id: "2147483648") { name } }`, viewer, `{"p":null} BAD_USER_INPUT [p]`, 0},
		{"no token", "", grafana, viewer, `{"p":null} UNAUTHENTICATED [p]`, 0},
		{"a token that authentik rejects", "invented", grafana, viewer, `{"p":null} UNAUTHENTICATED [p]`, 1},
		{"entities", upstreamtest.TokenAlice, entities, viewer,
			`{"_entities":[{"name":"Mobile","clientType":"PUBLIC"},null,{"name":"Grafana","clientType":"CONFIDENTIAL"},{"provider":{"clientId":"grafana-client-id"}},null,null]}` + rest + ` NOT_FOUND [_entities 4]`, 3},
		{"entities that are not shown", upstreamtest.TokenAlice, entities, viewersOf(),
			`{"_entities":[null,null,null,{"provider":{"clientId":null}},null,null]}` + rest + ` FORBIDDEN [_entities 0] FORBIDDEN [_entities 2] FORBIDDEN [_entities 4]`, 3},
		{"entities without a token", "", `{ _entities(representations: [{__typename: "OAuth2Provider", id: 2}]) { __typename } }`, viewer, `{"_entities":[null]} UNAUTHENTICATED [_entities 0]`, 0},
	} {
		for form, document := range map[string]string{"plan": tt.document, "gqlgen": introspected(tt.document)} {
			t.Run(tt.name+"/"+form, func(t *testing.T) {
				a := newDirect(t, tt.options)
				a.addGrants(17, upstreamtest.ProviderGrafana)
				srv := httptest.NewServer(a.handler)
				t.Cleanup(srv.Close)
				got := query(t, srv.URL, tt.token, document)
				if text := sortedErrors(summaryOf(got)); text != sortedErrors(tt.want) || got.Status != http.StatusOK {
					t.Errorf("got  %d %s\nwant %s", got.Status, text, sortedErrors(tt.want))
				}
				if n := a.providerCalls(); n != tt.calls {
					t.Errorf("%d calls, want %d", n, tt.calls)
				}
			})
		}
	}
}

// sortedErrors sorts the errors of a summary, as entities fail concurrently.
func sortedErrors(summary string) string {
	data, errs, _ := strings.Cut(summary, " ")
	all := strings.SplitAfter(errs, "]")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	slices.Sort(all)
	return data + strings.Join(all, " ")
}

// proxys403 is a page that a proxy refuses a request with. It says nothing of the caller's permissions.
var proxys403 = upstreamtest.Fault{Name: "proxys-403", Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "<html>Forbidden</html>", http.StatusForbidden)
}}

// TestProvidersFail fails reads of one provider: the fields that are missing are null, with one error at the first of
// them, and all else is answered.
func TestProvidersFail(t *testing.T) {
	t.Parallel()
	const document = `{ a: authorizationCode(id: 17) { pk provider { name t: clientType clientId } }
		l: accessTokens { nodes { provider { pk subMode } } } b: refreshToken(id: 18) { provider { clientId } } }`
	const data = `{"a":{"pk":17,"provider":{"name":"Grafana","t":null,"clientId":null}},` +
		`"l":{"nodes":[{"provider":{"pk":2,"subMode":"HASHED_USER_ID"}},{"provider":{"pk":1,"subMode":null}}]},"b":{"provider":{"clientId":"mobile-client-id"}}}`
	for _, tt := range []struct {
		fault upstreamtest.Fault
		code  string // of the error, "" for none
	}{
		{upstreamtest.Error500, "UPSTREAM_ERROR"},
		{upstreamtest.Hang, "GATEWAY_TIMEOUT"},
		{upstreamtest.Reset, "UPSTREAM_UNAVAILABLE"},
		{upstreamtest.HTML200, "UPSTREAM_INVALID_RESPONSE"},
		{upstreamtest.WrongJSON, "UPSTREAM_INVALID_RESPONSE"},
		{upstreamtest.WrongObject, "UPSTREAM_INVALID_RESPONSE"},
		{upstreamtest.WrongPK, "UPSTREAM_INVALID_RESPONSE"},
		{upstreamtest.CutJSON, "UPSTREAM_INVALID_RESPONSE"},
		{upstreamtest.Throttled429, "RATE_LIMITED"},
		{upstreamtest.NotReady503, "UPSTREAM_UNAVAILABLE"},
		{upstreamtest.Timeout408, "GATEWAY_TIMEOUT"},
		{upstreamtest.HTML404, "UPSTREAM_INVALID_RESPONSE"},
		{proxys403, "UPSTREAM_INVALID_RESPONSE"},
		{upstreamtest.TokenInvalid403, "UNAUTHENTICATED"},
		{upstreamtest.Forbidden403, ""},
	} {
		for form, document := range map[string]string{"plan": document, "gqlgen": introspected(document)} {
			t.Run(tt.fault.Name+"/"+form, func(t *testing.T) {
				t.Parallel()
				settings := []string{"REDACT=AccessToken.claims"}
				if tt.fault.Name == upstreamtest.Hang.Name {
					settings = append(settings, "UPSTREAM_TIMEOUT=2s")
				}
				a := newDirect(t, upstreamtest.Options{Release: upstreamtest.R2026_8}, settings...)
				a.addGrants(17, upstreamtest.ProviderGrafana)
				a.addGrants(18, upstreamtest.ProviderMobile)
				a.up.SetResourceFault(upstreamtest.Providers, upstreamtest.ProviderGrafana, tt.fault)
				want := data
				if tt.code != "" {
					want += " " + tt.code + " [a provider t]"
				}
				got := a.query(upstreamtest.TokenRoot, document, `{}`)
				if text := summaryOf(got); text != want || got.Status != 200 {
					t.Errorf("got  %s\nwant %s", text, want)
				}
				if control := got.Header.Get("Cache-Control"); (control == "no-store") != (tt.code != "") {
					t.Errorf("Cache-Control %s", control)
				}
				a.up.Close() // ends what hangs
			})
		}
	}
}

// TestProvidersOfOneList fails the list by which many providers are read: each has an error of its own.
func TestProvidersOfOneList(t *testing.T) {
	t.Parallel()
	for form, document := range map[string]string{"plan": pageOf, "gqlgen": introspected(pageOf)} {
		t.Run(form, func(t *testing.T) {
			a := newDirect(t, upstreamtest.Options{Release: upstreamtest.R2026_8})
			addProviders(a.up, 5)
			addCodesOf(a.up, a.clock.Now().Add(time.Hour), []int32{1, 2, 3, 4, 5, 6, 7, 8})
			a.up.SetListFault(upstreamtest.Providers, upstreamtest.Error500)
			got := a.query(upstreamtest.TokenRoot, document, `{}`)
			if n := strings.Count(string(got.Data), `"clientId":null`); n != 100 || got.Codes() != strings.TrimSpace(strings.Repeat("UPSTREAM_ERROR ", 8)) {
				t.Fatalf("%d are null: %.1000s", n, got.Body)
			}
			for i, e := range got.Errors {
				if want := fmt.Sprintf("[authorizationCodes nodes %d provider clientId]", i); fmt.Sprint(e.Path) != want {
					t.Errorf("%v, want %s", e.Path, want)
				}
			}
			if calls := a.up.Calls().ByResource[upstreamtest.Providers]; calls.List != 1 || calls.Total != 1 {
				t.Errorf("%+v", calls)
			}
		})
	}
}

// TestServiceProviders reads a provider once for all callers of a service's token.
func TestServiceProviders(t *testing.T) {
	t.Parallel()
	const document = `{ authorizationCode(id: 17) { provider { clientId } } }`
	for name, tt := range map[string]struct {
		token       string
		permissions []string
		want        string
	}{
		"superuser":         {upstreamtest.TokenRoot, nil, `"grafana-client-id"`},
		"may view":          {upstreamtest.TokenAlice, []string{upstreamtest.ViewProvider}, `"grafana-client-id"`},
		"lacks permissions": {upstreamtest.TokenAlice, nil, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			files := newServiceFiles(t, tt.token, callerOf("a", "token-a")+callerOf("b", "token-b"))
			up, a := newWorld(t, viewersOf(tt.permissions...), files.settings()...)
			want := `{"authorizationCode":{"provider":{"clientId":` + tt.want + `}}}`
			for _, token := range []string{"token-a", "token-b", "token-a"} {
				if got := query(t, a.URL, token, document); summaryOf(got) != want {
					t.Errorf("%s: got %s, want %s", token, got.Body, want)
				}
			}
			if n := up.ResourceRetrieves(upstreamtest.Providers, upstreamtest.ProviderGrafana); n != 1 || up.Retrieves(17) != 1 {
				t.Errorf("%d and %d calls, want one each", n, up.Retrieves(17))
			}
			up.SetResourceFault(upstreamtest.Providers, upstreamtest.ProviderMobile, upstreamtest.TokenInvalid403)
			if got := query(t, a.URL, "token-a", `{ oauth2Provider(id: 2) { id } }`); summaryOf(got) != `{"oauth2Provider":null} UPSTREAM_ERROR [oauth2Provider]` {
				t.Errorf("the service's token is rejected: %s", got.Body)
			}
		})
	}
}

// TestRevocationReadsNoProvider: a revocation shows what is cached of the provider.
func TestRevocationReadsNoProvider(t *testing.T) {
	t.Parallel()
	const revocation = `mutation { r: revokeAuthorizationCode(id: 17) { authorizationCode { provider { name clientId clientType } } } }`
	for _, tt := range []struct{ name, before, want string }{
		{"nothing is cached", `{ __typename }`, `{"r":{"authorizationCode":null}}`},
		{"the grant is cached", `{ authorizationCode(id: 17) { pk } }`, `{"r":{"authorizationCode":{"provider":{"name":"Grafana","clientId":null,"clientType":null}}}}`},
		{"its provider is cached", `{ authorizationCode(id: 17) { pk } oauth2Provider(id: 1) { id } }`, `{"r":{"authorizationCode":{"provider":{"name":"Grafana","clientId":"grafana-client-id","clientType":"CONFIDENTIAL"}}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newDirect(t, upstreamtest.Options{Release: upstreamtest.R2026_8})
			a.addGrants(17, upstreamtest.ProviderGrafana)
			a.query(upstreamtest.TokenRoot, tt.before, `{}`)
			a.up.ResetCalls()
			if got := summaryOf(a.query(upstreamtest.TokenRoot, revocation, `{}`)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if calls := a.up.Calls(); calls.Total != 1 || calls.Delete != 1 {
				t.Errorf("%+v", calls)
			}
		})
	}
}

package upstreamtest_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// genericKeys are the keys that providers of every kind have, in the recorded order.
const genericKeys = "pk name authentication_flow authorization_flow invalidation_flow property_mappings component" +
	" assigned_application_slug assigned_application_name assigned_backchannel_application_slug" +
	" assigned_backchannel_application_name verbose_name verbose_name_plural meta_model_name"

// TestKeysOfNestedProvider checks which keys the provider of a grant has. They do not follow the number of
// the release: 2025.12.5 has fewer than 2026.2.2.
func TestKeysOfNestedProvider(t *testing.T) {
	for release, generic := range map[upstreamtest.Release]bool{
		upstreamtest.R2025_12: false, upstreamtest.R2025_12_5: true,
		upstreamtest.R2026_2: false, upstreamtest.R2026_2_3: true,
		upstreamtest.R2026_5: true, upstreamtest.R2026_8: true,
	} {
		for _, token := range []string{upstreamtest.TokenAlice, upstreamtest.TokenRoot} {
			t.Run(string(release)+" "+token, func(t *testing.T) {
				fake := upstreamtest.New(upstreamtest.Options{Release: release})
				fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
				srv := start(t, fake)
				_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"1/", bearer(token))
				got := strings.Join(parse(t, body).items[1].keys, " ")
				if generic && got != genericKeys || !generic && !strings.HasPrefix(got, genericKeys+" client_type client_id ") {
					t.Errorf("keys %s", got)
				}
			})
		}
	}
}

// viewers is a world with every kind of right to see providers.
func viewers(release upstreamtest.Release) upstreamtest.Options {
	return upstreamtest.Options{Release: release, Permissions: map[string][]string{
		upstreamtest.UserBob:  {upstreamtest.ViewProvider + ":2"},
		upstreamtest.UserDave: {upstreamtest.ViewProvider},
	}}
}

// TestWhoReadsProviders checks who gets a provider and the list of them.
func TestWhoReadsProviders(t *testing.T) {
	const (
		forbidden = `{"detail":"You do not have permission to perform this action."}`
		unknown   = `{"detail":"No OAuth2Provider matches the given query."}`
		notFound  = `{"detail":"Not found."}`
		invalid   = `{"detail":"Token invalid/expired"}`
	)
	for _, release := range []upstreamtest.Release{upstreamtest.R2025_12, upstreamtest.R2026_2_3, upstreamtest.R2026_5, upstreamtest.R2026_8} {
		srv := start(t, upstreamtest.New(viewers(release)))
		for _, tt := range []struct {
			name, token, path string
			status            int
			want              string // the body of an error, else the names of the providers
		}{
			{"ordinary", upstreamtest.TokenAlice, "1/", 403, forbidden},
			{"ordinary, unknown", upstreamtest.TokenAlice, "99/", 403, forbidden},
			{"ordinary, list", upstreamtest.TokenAlice, "", 403, forbidden},
			{"global", upstreamtest.TokenDave, "1/", 200, "Grafana"},
			{"global, unknown", upstreamtest.TokenDave, "99/", 404, unknown},
			{"global, beyond 32 bits", upstreamtest.TokenDave, "4294967297/", 404, unknown},
			{"global, no number", upstreamtest.TokenDave, "abc/", 404, notFound},
			{"global, list", upstreamtest.TokenDave, "", 200, "Grafana Mobile Orphan"},
			{"global, client id", upstreamtest.TokenDave, "?client_id=mobile-client-id", 200, "Mobile"},
			{"global, name", upstreamtest.TokenDave, "?name=Orphan", 200, "Orphan"},
			{"global, search", upstreamtest.TokenDave, "?search=RA", 200, "Grafana"},
			{"global, both filters", upstreamtest.TokenDave, "?name=Orphan&client_id=mobile-client-id", 200, ""},
			{"global, order", upstreamtest.TokenDave, "?ordering=-client_id", 200, "Orphan Mobile Grafana"},
			{"one object", upstreamtest.TokenBob, "2/", 200, "Mobile"},
			{"another object", upstreamtest.TokenBob, "1/", 404, unknown},
			{"one object, list", upstreamtest.TokenBob, "", 200, "Mobile"},
			{"superuser", upstreamtest.TokenRoot, "3/", 200, "Orphan"},
			{"superuser, list", upstreamtest.TokenRoot, "", 200, "Grafana Mobile Orphan"},
			{"unknown token", "nobody", "1/", 403, invalid},
			{"unknown token, list", "nobody", "", 403, invalid},
			{"no token", "", "1/", 403, forbidden},
			{"no page", upstreamtest.TokenRoot, "?page=2", 404, `{"detail":"Invalid page."}`},
		} {
			t.Run(string(release)+" "+tt.name, func(t *testing.T) {
				headers := bearer(tt.token)
				if tt.token == "" {
					headers.Del("Authorization")
				}
				status, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Providers.Path()+tt.path, headers)
				got := string(body)
				if status == http.StatusOK {
					got = strings.Join(names(t, body), " ")
				}
				if status != tt.status || got != tt.want {
					t.Errorf("%d %s, want %d %s", status, got, tt.status, tt.want)
				}
			})
		}
	}
}

// TestPermissionsChange gives a user permissions and withdraws them while authentik runs.
func TestPermissionsChange(t *testing.T) {
	fake := upstreamtest.New(viewers(upstreamtest.R2026_8))
	srv := start(t, fake)
	for _, tt := range []struct {
		permissions []string
		want        int // the status of provider 1
	}{
		{[]string{upstreamtest.ViewProvider}, 200},
		{[]string{upstreamtest.ViewProvider + ":2"}, 404},
		{nil, 403},
	} {
		fake.SetPermissions(upstreamtest.UserAlice, tt.permissions...)
		for token, want := range map[string]int{upstreamtest.TokenAlice: tt.want, upstreamtest.TokenDave: 200} {
			if status, _, _ := send(t, http.MethodGet, srv.URL+upstreamtest.Providers.Path()+"1/", bearer(token)); status != want {
				t.Errorf("%v, %s: status %d, want %d", tt.permissions, token, status, want)
			}
		}
	}
}

// names returns the names in the answer for one provider or for a list.
func names(t *testing.T, body []byte) []string {
	t.Helper()
	var got struct {
		Name    string
		Results []struct{ Name string }
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "" {
		return []string{got.Name}
	}
	var all []string
	for _, p := range got.Results {
		all = append(all, p.Name)
	}
	return all
}

// TestKeysOfProvider checks which keys a provider has that is read by itself, and to whom its secret is shown.
func TestKeysOfProvider(t *testing.T) {
	all := strings.Fields(genericKeys + " client_type grant_types client_id client_secret access_code_validity" +
		" access_token_validity refresh_token_validity refresh_token_threshold include_claims_in_id_token signing_key" +
		" encryption_key redirect_uris logout_uri logout_method sub_mode issuer_mode jwt_federation_sources" +
		" jwt_federation_providers")
	without := func(keys ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(key string) bool { return slices.Contains(keys, key) })
	}
	for _, tt := range []struct {
		release upstreamtest.Release
		token   string
		want    []string
	}{
		{upstreamtest.R2025_12, upstreamtest.TokenDave, without("grant_types")},
		{upstreamtest.R2026_2_3, upstreamtest.TokenDave, without("grant_types")},
		{upstreamtest.R2026_5, upstreamtest.TokenDave, all},
		{upstreamtest.R2026_8, upstreamtest.TokenDave, without("client_secret")},
		{upstreamtest.R2026_8, upstreamtest.TokenBob, all},
		{upstreamtest.R2026_8, upstreamtest.TokenRoot, all},
	} {
		t.Run(string(tt.release)+" "+tt.token, func(t *testing.T) {
			o := viewers(tt.release)
			o.Permissions[upstreamtest.UserBob] = append(o.Permissions[upstreamtest.UserBob], upstreamtest.ChangeProvider+":2")
			srv := start(t, upstreamtest.New(o))
			_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Providers.Path()+"2/", bearer(tt.token))
			if got := parse(t, body).keys; !slices.Equal(got, tt.want) {
				t.Errorf("keys\n got  %v\n want %v", got, tt.want)
			}
			_, _, body = send(t, http.MethodGet, srv.URL+upstreamtest.Providers.Path()+"?client_id=mobile-client-id", bearer(tt.token))
			if got := parse(t, body).items[1].items[0].keys; !slices.Equal(got, tt.want) {
				t.Errorf("keys in the list\n got  %v\n want %v", got, tt.want)
			}
		})
	}
}

// TestRedirectKinds checks that redirect URIs of the kind that only newer releases know are left out of others.
func TestRedirectKinds(t *testing.T) {
	for release, want := range map[upstreamtest.Release]string{
		upstreamtest.R2024_8: "", upstreamtest.R2026_2_3: " - - -", upstreamtest.R2026_5: " authorization authorization authorization logout",
	} {
		srv := start(t, upstreamtest.New(upstreamtest.Options{Release: release}))
		_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Providers.Path()+"1/", bearer(upstreamtest.TokenRoot))
		var p struct {
			RedirectURIs json.RawMessage `json:"redirect_uris"`
		}
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		if release == upstreamtest.R2024_8 {
			if n := strings.Count(string(p.RedirectURIs), `\n`); n != 2 {
				t.Errorf("%s: %s", release, p.RedirectURIs)
			}
			continue
		}
		var uris []struct {
			Kind string `json:"redirect_uri_type"`
		}
		if err := json.Unmarshal(p.RedirectURIs, &uris); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, u := range uris {
			got += " " + cmp.Or(u.Kind, "-")
		}
		if got != want {
			t.Errorf("%s: kinds%s, want%s", release, got, want)
		}
	}
}

// TestAddAndRemoveProviders checks that providers can be added, replaced and removed, the last with their grants.
func TestAddAndRemoveProviders(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	srv := start(t, fake)
	var pks []int32
	for range 120 {
		pks = append(pks, fake.AddProvider(upstreamtest.Provider{}))
	}
	if pks[0] != 4 || pks[119] != 123 {
		t.Fatalf("ids %v", pks)
	}
	get := func(path string) (int, []string) {
		status, _, body := send(t, http.MethodGet, srv.URL+path, bearer(upstreamtest.TokenRoot))
		return status, names(t, body)
	}
	if _, got := get(upstreamtest.Providers.Path() + "?page_size=200"); len(got) != 100 {
		t.Errorf("%d on the first page", len(got))
	}
	if _, got := get(upstreamtest.Providers.Path() + "?page_size=100&page=2"); len(got) != 23 {
		t.Errorf("%d on the second page", len(got))
	}
	code := fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Provider: 50, Expires: anHourAhead})
	token := fake.AddToken(upstreamtest.AccessTokens, upstreamtest.Token{Owner: upstreamtest.UserAlice, Provider: 50})
	if row, _ := fake.Token(upstreamtest.AccessTokens, token); !strings.Contains(row.IDToken, `"aud": "client-50"`) {
		t.Errorf("claims %s", row.IDToken)
	}
	fake.AddProvider(upstreamtest.Provider{PK: 50, Name: "Renamed", Application: "Some App"})
	if status, got := get(upstreamtest.Providers.Path() + "50/"); status != 200 || got[0] != "Renamed" {
		t.Errorf("%d %v", status, got)
	}
	_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"1/", bearer(upstreamtest.TokenAlice))
	if !strings.Contains(string(body), `"provider":{"pk":50,"name":"Renamed",`) || !strings.Contains(string(body), `"assigned_application_slug":"some-app"`) {
		t.Errorf("code %s", body)
	}
	fake.Remove(upstreamtest.Providers, 50)
	if status, _ := get(upstreamtest.Providers.Path() + "50/"); status != 404 {
		t.Errorf("removed: %d", status)
	}
	if _, ok := fake.Code(code); ok {
		t.Error("the code of a removed provider is there")
	}
	if next := fake.AddProvider(upstreamtest.Provider{}); next != 124 {
		t.Errorf("next id %d", next)
	}
}

// TestCountsAndFaultsOfProviders checks that reads of providers are counted apart and can be made to fail, one
// by one, the list, and all together.
func TestCountsAndFaultsOfProviders(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	srv := start(t, fake)
	get := func(path string) int {
		status, _, _ := send(t, http.MethodGet, srv.URL+upstreamtest.Providers.Path()+path, bearer(upstreamtest.TokenRoot))
		return status
	}
	fake.SetResourceFault(upstreamtest.Providers, 1, upstreamtest.Error500)
	fake.SetListFault(upstreamtest.Providers, upstreamtest.Throttled429)
	if a, b, c := get("1/"), get("2/"), get(""); a != 500 || b != 200 || c != 429 {
		t.Errorf("%d %d %d", a, b, c)
	}
	fake.SetResourceFault(upstreamtest.Providers, upstreamtest.AllRequests, upstreamtest.Starting503JSON)
	if a, b := get("1/"), get("2/"); a != 500 || b != 503 {
		t.Errorf("%d %d", a, b)
	}
	fake.ClearFaults()
	fake.SetFault(upstreamtest.AllRequests, upstreamtest.Status401)
	if a := get("1/"); a != 401 {
		t.Errorf("%d", a)
	}
	want := upstreamtest.ResourceCounts{Total: 6, Retrieve: 5, List: 1}
	if got := fake.Calls().ByResource[upstreamtest.Providers]; got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if n := fake.ResourceRetrieves(upstreamtest.Providers, 1); n != 3 || fake.Retrieves(1) != 0 {
		t.Errorf("%d reads of provider 1", n)
	}
}

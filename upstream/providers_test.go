package upstream_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

// TestPartial tells a partial provider by the keys that are absent, whatever the others' values.
func TestPartial(t *testing.T) {
	for _, tt := range []struct {
		name, members string
		want          bool
	}{
		{"generic", `"name":"n","component":"c"`, true},
		{"whole", `"client_type":"public","client_id":"i"`, false},
		{"client_type alone", `"client_type":"public"`, false},
		{"client_id alone", `"client_id":"i"`, false},
		{"both null", `"client_type":null,"client_id":null`, false},
		{"of another form", `"client_id":1`, false},
		{"says that it is whole", `"_partial":false`, true},
		{"says that it is partial", `"client_id":"i","_partial":true`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := decode(t, with("provider", tt.members))
			if g.Provider.Partial != tt.want {
				t.Errorf("partial: %t", g.Provider.Partial)
			}
			checkRoundTrip(t, g)
		})
	}
}

// TestAudience takes the client id of a partial provider from a token's claims, if they name a single one.
func TestAudience(t *testing.T) {
	for _, tt := range []struct{ name, provider, top, want string }{
		{"text", `"name":"n"`, `"id_token":"{\"aud\":\"app\"}"`, "app"},
		{"list", `"name":"n"`, `"id_token":"{\"aud\":[\"app\"]}"`, ""},
		{"empty", `"name":"n"`, `"id_token":"{\"aud\":\"\"}"`, ""},
		{"none", `"name":"n"`, `"id_token":"{}"`, ""},
		{"no object", `"name":"n"`, `"id_token":"[1]"`, ""},
		{"no token", `"name":"n"`, `"id_token":null`, ""},
		{"whole provider", `"client_id":"i"`, `"id_token":"{\"aud\":\"app\"}"`, ""},
		{"authentik's own key", `"_audience":"app"`, `"id_token":"{}"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := `{"pk":7,"provider":{"pk":1,` + tt.provider + `},"user":{"pk":2},"is_expired":true,` + tt.top + `}`
			g, _ := decode(t, body)
			got := ""
			if g.Provider.Audience != nil {
				got = *g.Provider.Audience
			}
			if got != tt.want {
				t.Errorf("got %q", got)
			}
			checkRoundTrip(t, g)
		})
	}
}

// TestAudienceRedacted checks that the redaction of what names a client takes the name as well.
func TestAudienceRedacted(t *testing.T) {
	for _, tt := range []struct {
		coordinate string
		stays      bool
	}{
		{"User.email", true},
		{"RefreshToken.claims", true},
		{"AccessToken.claims", false},
		{"OAuth2Provider.clientId", false},
	} {
		t.Run(tt.coordinate, func(t *testing.T) {
			g, _ := decode(t, with("", `"id_token":"{\"aud\":\"app\"}"`))
			upstream.RedactGrant(upstream.AccessTokens, g, []string{tt.coordinate})
			if got := g.Provider.Audience != nil; got != tt.stays {
				t.Errorf("stays: %t", got)
			}
		})
	}
}

// TestLackedByPartial compares some fields of the schema.
func TestLackedByPartial(t *testing.T) {
	for field, want := range map[string]bool{
		"clientId": true, "clientType": true, "grantTypes": true, "redirectUris": true, "includeClaimsInIdToken": true,
		"jwksSources": true, "backchannelLogoutUri": true, "jwtFederationProviders": true,
		"id": false, "pk": false, "name": false, "assignedApplicationName": false, "metaModelName": false,
		"_partial": false, "_audience": false, "": false,
	} {
		if got := upstream.LackedByPartial(field); got != want {
			t.Errorf("%s: %t", field, got)
		}
	}
}

func TestProvider(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		kind   upstream.Kind // 0 for none
	}{
		{"found", 200, `{"pk":3,"name":"Wiki","client_id":"wiki","client_type":1}`, 0},
		{"another one", 200, `{"pk":4,"client_id":"wiki"}`, upstream.InvalidResponse},
		{"without pk", 200, `{"client_id":"wiki"}`, upstream.InvalidResponse},
		{"no object", 200, `[]`, upstream.InvalidResponse},
		{"null", 200, `null`, upstream.InvalidResponse},
		{"may not view any", 403, `{"detail":"You do not have permission to perform this action."}`, upstream.Forbidden},
		{"may not view it", 404, `{"detail":"No OAuth2Provider matches the given query."}`, upstream.NotFound},
		{"refused token", 403, `{"detail":"Token invalid/expired"}`, upstream.Unauthenticated},
		{"failure", 500, `<html>`, upstream.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := ""
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path = r.RequestURI
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			c := client(t, server.URL)
			got, err := c.Provider(t.Context(), alice, 3)
			if path != "/api/v3/providers/oauth2/3/" {
				t.Errorf("asked %s", path)
			}
			if tt.kind != 0 {
				wantKind(t, err, tt.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p := got.Value
			if p.PK != 3 || *p.ClientID != "wiki" || p.Partial || c.Stats().Dropped["provider.client_type"] != 1 {
				t.Errorf("got %v, client id %v, partial %t, dropped %v", p, p.ClientID, p.Partial, c.Stats().Dropped)
			}
			back, err := upstream.RestoreProvider(string(upstream.AppendProvider(nil, p)))
			if err != nil || !reflect.DeepEqual(back, p) {
				t.Errorf("came back as %v, error %v", back, err)
			}
		})
	}
	if _, err := client(t, "http://127.0.0.1").Provider(t.Context(), upstream.Credential{}, 3); err == nil {
		t.Error("asked without a credential")
	}
}

func TestProviders(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		rows       int
		more, ok   bool
	}{
		{"all", `{"pagination":{"next":0},"results":[{"pk":1},{"pk":2,"client_id":1}]}`, 2, false, true},
		{"first page", `{"pagination":{"next":2},"results":[{"pk":1}]}`, 1, true, true},
		{"none", `{"pagination":{"next":0},"results":[]}`, 0, false, true},
		{"a row without pk", `{"pagination":{"next":0},"results":[{"pk":1},{}]}`, 0, false, false},
		{"a row that is none", `{"pagination":{"next":0},"results":[1]}`, 0, false, false},
		{"without next", `{"pagination":{},"results":[]}`, 0, false, false},
		{"without results", `{"pagination":{"next":0}}`, 0, false, false},
		{"results null", `{"pagination":{"next":0},"results":null}`, 0, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := ""
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path = r.RequestURI
				answer(w, tt.body)
			})
			got, err := client(t, server.URL).Providers(t.Context(), alice)
			if path != "/api/v3/providers/oauth2/?page_size=100" {
				t.Errorf("asked %s", path)
			}
			if !tt.ok {
				wantKind(t, err, upstream.InvalidResponse)
				return
			}
			if err != nil || len(got.Value.Rows) != tt.rows || got.Value.More != tt.more || got.FetchedAt.IsZero() {
				t.Errorf("got %d rows, more %t, at %v, error %v", len(got.Value.Rows), got.Value.More, got.FetchedAt, err)
			}
		})
	}
}

// TestProvidersAreOptional checks that providers that fail are asked for once, and close nothing for grants.
func TestProvidersAreOptional(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/providers/") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		answer(w, body)
	})
	c := client(t, server.URL)
	const calls = 30 // more than open the breaker
	for range calls {
		_, err := c.Provider(t.Context(), alice, 3)
		wantKind(t, err, upstream.Failed)
	}
	if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
		t.Error(err)
	}
	if s := c.Stats(); s.Calls != calls+1 || s.Retries != 0 || s.BreakerState != "closed" {
		t.Errorf("%+v", s)
	}
}

func TestRestoreProviderRefuses(t *testing.T) {
	for _, stored := range []string{``, `null`, `[]`, `{}`, `{"pk":0}`, `{"pk":-1}`, `{"pk":1`, `{"pk":"1"}`} {
		if p, err := upstream.RestoreProvider(stored); err == nil {
			t.Errorf("RestoreProvider(%q) = %v", stored, p)
		}
	}
}

// FuzzDecodeProviders reads any page of providers. What can be read comes back from the cache as it was.
func FuzzDecodeProviders(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"pagination":{"next":0},"results":[]}`, `{"pagination":{"next":2},"results":[{"pk":1,"client_id":"i","redirect_uris":"a b"},{"pk":2}]}`,
		`{"pagination":{"next":0.5},"results":[{"pk":1}]}`, `{"pagination":{"next":0},"results":[null]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, _, err := upstream.DecodeProviders(body)
		if err != nil {
			return
		}
		for _, p := range list.Rows {
			if p.PK < 1 {
				continue // which is never asked for, and so not cached
			}
			stored := upstream.AppendProvider(nil, p)
			back, err := upstream.RestoreProvider(string(stored))
			if err != nil {
				t.Fatalf("%v\n%s", err, stored)
			}
			if again := upstream.AppendProvider(nil, back); string(again) != string(stored) {
				t.Errorf("stored again as\n%s\nwant\n%s", again, stored)
			}
		}
	})
}

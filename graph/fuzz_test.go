package graph

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream"
)

// FuzzPost sends any body to the endpoint: the answer is always JSON, never a server error, and
// never repeats a body that is not JSON.
func FuzzPost(f *testing.F) {
	for _, seed := range []string{``, `{}`, `[]`, `{"query":"{ __typename }"}`, `{"query":"{","variables":{}}`, `{"query":1}`,
		`{"query":"query($r:[_Any!]!){_entities(representations:$r){__typename}}","variables":{"r":[{"__typename":"AuthorizationCode","id":"1"},{"id":{}},{"__typename":17}]}}`,
		`{"query":"{ authorizationCode(id: 17) { scope } }","extensions":{"persistedQuery":{"version":1}}}`} {
		f.Add(seed)
	}
	h := fuzzed(f, Options{Introspection: true})
	f.Fuzz(func(t *testing.T, body string) {
		ctx := NewContext(t.Context(), &Request{ID: "fuzz", Credential: upstream.NewCredential("t")})
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), CodeInternal) {
			t.Fatalf("an internal error: %s", w.Body)
		}
	})
}

// fuzzed makes an endpoint with the limits of a service that sets none.
func fuzzed(f *testing.F, o Options) http.Handler {
	o.Limits, o.DocumentMemory = DefaultLimits(), 8<<20
	h, err := NewHandler(&Resolver{Codes: noCodes{}, Now: time.Now}, o)
	if err != nil {
		f.Fatal(err)
	}
	return h
}

// FuzzGet does the same with any query string.
func FuzzGet(f *testing.F) {
	for _, seed := range []string{``, `query={__typename}`, `query={__typename}&variables={}`, `query={&variables=[`, `%zz`, `query=mutation{x}`} {
		f.Add(seed)
	}
	h := fuzzed(f, Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		ctx := NewContext(t.Context(), &Request{ID: "fuzz"})
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: "/", RawQuery: raw}
		r.Header.Set("Apollo-Require-Preflight", "1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), CodeInternal) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzNegotiate: whatever a client accepts, the answer is one of the two types or none.
func FuzzNegotiate(f *testing.F) {
	for _, seed := range []string{"", "*/*", "application/json", "application/graphql-response+json;q=0.5, */*;q=0.1", ";;q", "application/json;q=nan"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		contentType, ok := negotiate([]string{accept})
		if ok != (contentType == typeJSON || contentType == typeResponse) {
			t.Fatalf("%q, %v", contentType, ok)
		}
	})
}

// FuzzRedaction: any list is a redaction that can be applied, or an error.
func FuzzRedaction(f *testing.F) {
	f.Add("User.email,-OAuth2Provider.clientSecret,none")
	f.Add("Query._service")
	f.Fuzz(func(t *testing.T, list string) {
		if r, err := ParseRedaction(strings.Split(list, ",")); err == nil {
			r.Apply(&upstream.Code{Provider: &upstream.Provider{}, User: &upstream.User{}})
		}
	})
}

type noCodes struct{}

func (noCodes) AuthorizationCode(_ context.Context, _ upstream.Credential, pk upstream.PK) (CodeRead, error) {
	return CodeRead{}, &upstream.Error{Kind: upstream.NotFound}
}

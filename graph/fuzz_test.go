package graph

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// FuzzPost sends any body to the endpoint. The response is always JSON and never a server error.
func FuzzPost(f *testing.F) {
	for _, seed := range []string{``, `{}`, `[]`, `{"query":"{ __typename }"}`, `{"query":"{","variables":{}}`, `{"query":1}`,
		`{"query":"query($r:[_Any!]!){_entities(representations:$r){__typename}}","variables":{"r":[{"__typename":"AuthorizationCode","id":"1"},{"id":{}},{"__typename":17}]}}`,
		`{"query":"{ authorizationCode(id: 17) { scope } }","extensions":{"persistedQuery":{"version":1}}}`} {
		f.Add(seed)
	}
	h := fuzzed(f, Options{Introspection: true, Federation: true})
	f.Fuzz(func(t *testing.T, body string) { fuzzPost(t, h, body) })
}

// fuzzed makes an endpoint with the limits of a service that sets none.
func fuzzed(f testing.TB, o Options) http.Handler {
	o.Limits, o.Documents = DefaultLimits(), NewTestLibrary(f, DefaultLimits())
	return NewHandler(&Resolver{Grants: noGrants{}, Now: time.Now}, o)
}

// FuzzGet sends any query string to the endpoint. The response is always JSON and never a server error.
func FuzzGet(f *testing.F) {
	for _, seed := range []string{``, `query={__typename}`, `query={__typename}&variables={}`, `query={&variables=[`, `%zz`, `query=mutation{x}`} {
		f.Add(seed)
	}
	h := fuzzed(f, Options{Federation: true})
	f.Fuzz(func(t *testing.T, raw string) {
		ctx := NewContext(t.Context(), &Request{ID: "fuzz"})
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: "/", RawQuery: raw}
		r.Header.Set("Apollo-Require-Preflight", "1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), apierror.Internal) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzNegotiate checks that for any Accept the result is one of the two types or none.
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

type noGrants struct{ NoProviders }

func (noGrants) Grant(context.Context, grants.Caller, upstream.Resource, upstream.PK) (GrantRead, error) {
	return GrantRead{}, &upstream.Error{Kind: upstream.NotFound}
}

func (noGrants) List(context.Context, grants.Caller, upstream.Resource, upstream.Query) (ListRead, error) {
	return ListRead{}, &upstream.Error{Kind: upstream.NotFound}
}

func (noGrants) Revoke(context.Context, grants.Caller, upstream.Resource, upstream.PK) (grants.Revocation, error) {
	return grants.Revocation{}, &upstream.Error{Kind: upstream.NotFound}
}

// FuzzRepresentations sends any JSON as representations. Each has its entity or its own error, and no
// error is internal.
func FuzzRepresentations(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"__typename":"AuthorizationCode","id":"1"}]`, `[{"__typename":"AuthorizationCode","id":17},{"__typename":"User","id":1},{}]`,
		`{"__typename":"AuthorizationCode","id":1e99}`, `[null]`, `[[{}]]`, `"x"`, `[{"__typename":["AuthorizationCode"],"id":{"id":1}}]`} {
		f.Add(seed)
	}
	h := fuzzed(f, Options{Federation: true})
	f.Fuzz(func(t *testing.T, representations string) {
		if !json.Valid([]byte(representations)) {
			return
		}
		answer := fuzzPost(t, h, `{"query":"query($r:[_Any!]!){_entities(representations:$r){__typename}}","variables":{"r":`+representations+`}}`)
		var got struct {
			Data *struct {
				Entities []any `json:"_entities"`
			}
			Errors []struct{ Path []any }
		}
		if err := json.Unmarshal(answer, &got); err != nil {
			t.Fatal(err)
		}
		if got.Data == nil || got.Data.Entities == nil {
			return // not executed, or refused as a whole
		}
		failed := map[int]bool{}
		for _, e := range got.Errors {
			if len(e.Path) == 2 {
				failed[int(e.Path[1].(float64))] = true
			}
		}
		for i, entity := range got.Data.Entities {
			if entity == nil != failed[i] {
				t.Fatalf("entity %d is %v, failed %t: %s", i, entity, failed[i], answer)
			}
		}
	})
}

// FuzzPersistedQuery sends any hash and version, with the text and without. The query is executed by its own
// hash in the protocol's one version only.
func FuzzPersistedQuery(f *testing.F) {
	const text = `{ __typename }`
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	for _, seed := range []string{hash, strings.ToUpper(hash), hash[1:], " " + hash, hash + "\x00", "", "x"} {
		f.Add(1, seed)
		f.Add(2, seed)
	}
	h := fuzzed(f, Options{Federation: true})
	f.Fuzz(func(t *testing.T, version int, given string) {
		quoted, err := json.Marshal(given)
		if err != nil {
			return
		}
		extensions := fmt.Sprintf(`"extensions":{"persistedQuery":{"version":%d,"sha256Hash":%s}}`, version, quoted)
		with := fuzzPost(t, h, `{"query":"`+text+`",`+extensions+`}`)
		alone := fuzzPost(t, h, `{`+extensions+`}`)
		right := version == 1 && given == hash
		if ran := strings.Contains(string(with), `"data"`); ran != right {
			t.Fatalf("with its text: %s", with)
		}
		if ran := strings.Contains(string(alone), `"data"`); ran && !right {
			t.Fatalf("alone: %s", alone)
		}
	})
}

// fuzzPost sends a body, and checks that the response is JSON and no failure of the service.
func fuzzPost(t *testing.T, h http.Handler, body string) []byte {
	t.Helper()
	ctx := NewContext(t.Context(), &Request{ID: "fuzz", Caller: grants.Caller{Credential: upstream.NewCredential("t")}})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 500 || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), apierror.Internal) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

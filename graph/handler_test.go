package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"authentik-graphql/graph"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// source is a GrantSource of single grants.
type source func(ctx context.Context, cred upstream.Credential, pk upstream.PK) (graph.GrantRead, error)

func (f source) Grant(ctx context.Context, caller grants.Caller, _ upstream.Resource, pk upstream.PK) (graph.GrantRead, error) {
	return f(ctx, caller.Credential, pk)
}

func (f source) List(context.Context, grants.Caller, upstream.Resource, upstream.Query) (graph.ListRead, error) {
	return graph.ListRead{}, &upstream.Error{Kind: upstream.NotFound}
}

func (f source) Revoke(context.Context, grants.Caller, upstream.Resource, upstream.PK) (grants.Revocation, error) {
	return grants.Revocation{}, &upstream.Error{Kind: upstream.NotFound}
}

func (source) Providers(ctx context.Context, caller grants.Caller, pks []upstream.PK) []grants.ProviderRead {
	return graph.NoProviders{}.Providers(ctx, caller, pks)
}

func (source) CachedProvider(context.Context, grants.Caller, upstream.PK) (r grants.ProviderRead, ok bool) {
	return r, false
}

var _ graph.GrantSource = source(nil)

func anyCode(_ context.Context, _ upstream.Credential, pk upstream.PK) (graph.GrantRead, error) {
	read := graph.GrantRead{Freshness: grants.Freshness{FreshUntil: time.Now().Add(time.Minute)}}
	read.Value = &upstream.Grant{PK: pk, Scope: []string{}}
	return read, nil
}

// handler makes the endpoint, with the default limits unless o has others.
func handler(t *testing.T, codes graph.GrantSource, o graph.Options) http.Handler {
	t.Helper()
	if o.Limits == (document.Limits{}) {
		o.Limits = graph.DefaultLimits()
	}
	o.Documents = graph.NewTestLibrary(t, o.Limits)
	return graph.NewHandler(&graph.Resolver{Grants: codes, Now: time.Now}, o)
}

// serve starts the endpoint as the service mounts it, with a Request in the context and a body limit.
func serve(t *testing.T, codes graph.GrantSource, o graph.Options) string {
	t.Helper()
	h := handler(t, codes, o)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		ctx := graph.NewContext(r.Context(), &graph.Request{ID: "test", Caller: grants.Caller{Credential: upstream.ParseAuthorization(r.Header)}})
		h.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

type answer struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, method, target, body string, header map[string]string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer t")
	for name, value := range header {
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func TestHTTP(t *testing.T) {
	base := serve(t, source(anyCode), graph.Options{Introspection: true})
	jsonType := map[string]string{"Content-Type": "application/json"}
	get := func(values ...string) string {
		q := url.Values{}
		for i := 0; i < len(values); i += 2 {
			q.Set(values[i], values[i+1])
		}
		return base + "/?" + q.Encode()
	}
	with := func(header ...string) map[string]string {
		m := map[string]string{"Content-Type": "application/json"}
		for i := 0; i < len(header); i += 2 {
			m[header[i]] = header[i+1]
		}
		return m
	}
	const ok, data = `{"query":"{ __typename }"}`, `{"data":{"__typename":"Query"}}`
	tests := []struct {
		name, method, target, body string
		header                     map[string]string
		status                     int
		want                       string // the whole body, or an error code
		contentType                string
	}{
		{"post", "POST", base, ok, jsonType, 200, data, "application/json"},
		{"post with charset", "POST", base, ok, with("Content-Type", "application/json; charset=UTF-8"), 200, data, ""},
		{"post, null members", "POST", base, `{"query":"{ __typename }","variables":null,"operationName":null,"extensions":null}`, jsonType, 200, data, ""},
		{"post, other charset", "POST", base, ok, with("Content-Type", "application/json; charset=utf-16"), 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"post as text", "POST", base, ok, with("Content-Type", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"post as a form", "POST", base, "query=x", with("Content-Type", "application/x-www-form-urlencoded"), 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"post as multipart", "POST", base, "--x", with("Content-Type", "multipart/form-data; boundary=x"), 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"post without a type", "POST", base, ok, with("Content-Type", ""), 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"empty body", "POST", base, "", jsonType, 400, "BAD_REQUEST", ""},
		{"not JSON", "POST", base, `{"query": s3cr3t`, jsonType, 400, "BAD_REQUEST", ""},
		{"two values", "POST", base, ok + ok, jsonType, 400, "BAD_REQUEST", ""},
		{"no query", "POST", base, `{"s3cr3t":1}`, jsonType, 400, "BAD_REQUEST", ""},
		{"query of a wrong type", "POST", base, `{"query":{"s3cr3t":1}}`, jsonType, 400, "BAD_REQUEST", ""},
		{"variables of a wrong type", "POST", base, `{"query":"{ __typename }","variables":"s3cr3t"}`, jsonType, 400, "BAD_REQUEST", ""},
		{"extensions of a wrong type", "POST", base, `{"query":"{ __typename }","extensions":[1]}`, jsonType, 400, "BAD_REQUEST", ""},
		{"operation name of a wrong type", "POST", base, `{"query":"{ __typename }","operationName":1}`, jsonType, 400, "BAD_REQUEST", ""},
		{"a number", "POST", base, `17`, jsonType, 400, "BAD_REQUEST", ""},
		{"batch", "POST", base, ` [` + ok + `]`, jsonType, 400, "BATCHING_NOT_SUPPORTED", ""},
		{"too large", "POST", base, `{"query":"` + strings.Repeat(" ", 64<<10) + `"}`, jsonType, 413, "PAYLOAD_TOO_LARGE", ""},
		{"put", "PUT", base, ok, jsonType, 405, "METHOD_NOT_ALLOWED", ""},
		{"delete", "DELETE", base, "", jsonType, 405, "METHOD_NOT_ALLOWED", ""},
		{"get", "GET", get("query", "{ __typename }"), "", nil, 200, data, "application/json"},
		{"get with variables", "GET", get("query", "query($i:ID!){authorizationCode(id:$i){id}}", "variables", `{"i":17}`), "", nil, 200, `{"data":{"authorizationCode":{"id":"17"}}}`, ""},
		{"get, bad variables", "GET", get("query", "{ __typename }", "variables", "[s3cr3t"), "", nil, 400, "BAD_REQUEST", ""},
		{"get, variables of a wrong type", "GET", get("query", "{ __typename }", "variables", `"s3cr3t"`), "", nil, 400, "BAD_REQUEST", ""},
		{"get without a preflight header", "GET", get("query", "{ __typename }"), "", map[string]string{"Authorization": ""}, 400, "BAD_REQUEST", ""},
		{"get, Apollo's header", "GET", get("query", "{ __typename }"), "", map[string]string{"Authorization": "", "Apollo-Require-Preflight": "1"}, 200, data, ""},
		{"get, JSON type", "GET", get("query", "{ __typename }"), "", map[string]string{"Authorization": "", "Content-Type": "application/json"}, 200, data, ""},
		{"get without a query", "GET", get(), "", nil, 400, "BAD_REQUEST", ""},
		{"get of a mutation", "GET", get("query", "mutation { x }"), "", nil, 405, "METHOD_NOT_ALLOWED", ""},
		{"get of a mutation that is not valid", "GET", get("query", "mutation { s3cr3t(x: 1) }"), "", map[string]string{"Accept": "application/graphql-response+json"}, 405, "METHOD_NOT_ALLOWED", "application/graphql-response+json"},
		{"get of a mutation, accept pages", "GET", get("query", "mutation { x }"), "", map[string]string{"Accept": "text/html"}, 405, "METHOD_NOT_ALLOWED", "application/json"},
		{"get of a subscription", "GET", get("query", "subscription { x }"), "", nil, 405, "METHOD_NOT_ALLOWED", ""},
		{"get, a parameter twice", "GET", get("query", "{ __typename }") + "&query=s3cr3t", "", nil, 400, "BAD_REQUEST", ""},
		{"get, a bad escape", "GET", base + "?query=%zzs3cr3t", "", nil, 400, "BAD_REQUEST", ""},
		{"a member twice", "POST", base, `{"query":"{ s3cr3t }","query":"{ __typename }"}`, jsonType, 400, "BAD_REQUEST", ""},
		{"a variable twice", "POST", base, `{"query":"{ __typename }","variables":{"s3cr3t":1,"s3cr3t":2}}`, jsonType, 400, "BAD_REQUEST", ""},
		{"a member in another case", "POST", base, `{"Query":"{ __typename }"}`, jsonType, 400, "BAD_REQUEST", ""},
		{"not UTF-8", "POST", base, "{\"query\":\"{ __typename } #\xff\"}", jsonType, 400, "BAD_REQUEST", ""},
		{"a compressed body", "POST", base, ok, with("Content-Encoding", "gzip"), 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"several operations and no name", "POST", base, `{"query":"query A { __typename } query B { __typename }"}`, jsonType, 200, "GRAPHQL_VALIDATION_FAILED", ""},
		{"one of several operations", "POST", base, `{"query":"query A { a: __typename } query B { __typename }","operationName":"B"}`, jsonType, 200, data, ""},
		{"accept the response type", "POST", base, ok, with("Accept", "application/graphql-response+json"), 200, data, "application/graphql-response+json"},
		{"accept both", "POST", base, ok, with("Accept", "application/graphql-response+json, application/json;q=0.9"), 200, data, "application/graphql-response+json"},
		{"accept JSON rather", "POST", base, ok, with("Accept", "application/graphql-response+json;q=0.1, application/json"), 200, data, "application/json"},
		{"accept anything", "POST", base, ok, with("Accept", "*/*"), 200, data, "application/json"},
		{"accept named over anything", "POST", base, ok, with("Accept", "application/graphql-response+json, */*"), 200, data, "application/graphql-response+json"},
		{"accept pages", "POST", base, ok, with("Accept", "text/html"), 406, "NOT_ACCEPTABLE", "application/json"},
		{"accept JSON at q=0", "POST", base, ok, with("Accept", "application/json;q=0"), 406, "NOT_ACCEPTABLE", ""},
		{"parse error, JSON", "POST", base, `{"query":"{"}`, jsonType, 200, "GRAPHQL_PARSE_FAILED", ""},
		{"parse error, response type", "POST", base, `{"query":"{"}`, with("Accept", "application/graphql-response+json"), 400, "GRAPHQL_PARSE_FAILED", ""},
		{"validation error, JSON", "POST", base, `{"query":"{ nothing }"}`, jsonType, 200, "GRAPHQL_VALIDATION_FAILED", ""},
		{"validation error, response type", "POST", base, `{"query":"{ nothing }"}`, with("Accept", "application/graphql-response+json"), 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"missing variable", "POST", base, `{"query":"query($i:ID!){authorizationCode(id:$i){id}}"}`, with("Accept", "application/graphql-response+json"), 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"unknown operation", "POST", base, `{"query":"query A { __typename }","operationName":"B"}`, jsonType, 200, "GRAPHQL_VALIDATION_FAILED", ""},
		{"too many tokens", "POST", base, `{"query":"{` + strings.Repeat(" a", 4000) + `}"}`, jsonType, 200, "LIMIT_EXCEEDED", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, tt.method, tt.target, tt.body, tt.header)
			if got.status != tt.status {
				t.Errorf("status %d, want %d", got.status, tt.status)
			}
			body := strings.TrimSuffix(got.body, "\n")
			if strings.HasPrefix(tt.want, "{") {
				if body != tt.want {
					t.Errorf("got %s", body)
				}
			} else {
				checkRequestError(t, body, tt.want)
			}
			if contentType, _, _ := strings.Cut(got.header.Get("Content-Type"), ";"); tt.contentType != "" && contentType != tt.contentType {
				t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
			}
			if got.status == 405 && got.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if strings.Contains(body, "s3cr3t") {
				t.Errorf("what was sent is repeated: %s", body)
			}
		})
	}
}

// checkRequestError checks that there is one error with the code, a request id, and no data.
func checkRequestError(t *testing.T, body, code string) {
	t.Helper()
	var got map[string]json.RawMessage
	var errs []struct {
		Extensions struct{ Code, RequestID string }
	}
	if err := errors.Join(json.Unmarshal([]byte(body), &got), json.Unmarshal(got["errors"], &errs)); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(errs) != 1 || errs[0].Extensions.Code != code || errs[0].Extensions.RequestID != "test" {
		t.Errorf("want one %s, got %s", code, body)
	}
	if _, has := got["data"]; has {
		t.Errorf("data in the answer to a request that was not executed: %s", body)
	}
}

const oneCode = `{"query":"{ authorizationCode(id: 17) { id } }"}`

var jsonHeader = map[string]string{"Content-Type": "application/json"}

func TestEndedContext(t *testing.T) {
	h := handler(t, source(anyCode), graph.Options{})
	req := &graph.Request{ID: "test", Caller: grants.Caller{Credential: upstream.NewCredential("t")}}
	ctx, cancel := context.WithCancel(graph.NewContext(t.Context(), req))
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(oneCode))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusGatewayTimeout || !strings.Contains(w.Body.String(), `"code":"GATEWAY_TIMEOUT"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := req.Facts(); len(got.ErrorCodes) != 1 {
		t.Errorf("the log has %v", got.ErrorCodes)
	}
}

// TestDisconnectedClientIsNoFailure checks that the log does not warn of a client that leaves.
func TestDisconnectedClientIsNoFailure(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		warn bool
	}{{"left", context.Canceled, false}, {"too late", context.DeadlineExceeded, true}} {
		t.Run(tt.name, func(t *testing.T) {
			h := handler(t, source(func(context.Context, upstream.Credential, upstream.PK) (graph.GrantRead, error) {
				return graph.GrantRead{}, tt.err
			}), graph.Options{})
			req := &graph.Request{ID: "test", Caller: grants.Caller{Credential: upstream.NewCredential("t")}}
			r := httptest.NewRequestWithContext(graph.NewContext(t.Context(), req), http.MethodPost, "/", strings.NewReader(oneCode))
			r.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got := req.Facts(); (got.Err != nil) != tt.warn || strings.Join(got.ErrorCodes, " ") != "GATEWAY_TIMEOUT" {
				t.Errorf("the log has %v, %v", got.ErrorCodes, got.Err)
			}
		})
	}
}

func TestFailuresOfTheSource(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code string
	}{
		{"typed", &upstream.Error{Kind: upstream.Forbidden, Err: errors.New("s3cr3t")}, "FORBIDDEN"},
		{"wrapped", fmt.Errorf("s3cr3t: %w", &upstream.Error{Kind: upstream.NotFound}), "NOT_FOUND"},
		{"deadline", fmt.Errorf("s3cr3t: %w", context.DeadlineExceeded), "GATEWAY_TIMEOUT"},
		{"unknown kind", &upstream.Error{Kind: 99}, "INTERNAL_SERVER_ERROR"},
		{"anything else", errors.New("dial tcp 10.0.0.1: s3cr3t"), "INTERNAL_SERVER_ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := serve(t, source(func(context.Context, upstream.Credential, upstream.PK) (graph.GrantRead, error) {
				return graph.GrantRead{}, tt.err
			}), graph.Options{})
			got := send(t, "POST", base, oneCode, jsonHeader)
			if got.status != 200 || !strings.Contains(got.body, `"code":"`+tt.code+`"`) || strings.Contains(got.body, "s3cr3t") {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestPanicIsAnError(t *testing.T) {
	panics := source(func(context.Context, upstream.Credential, upstream.PK) (graph.GrantRead, error) { panic("s3cr3t") })
	base := serve(t, panics, graph.Options{Federation: true})
	entity := `{"query":"{ _entities(representations: [{__typename: \"AuthorizationCode\", id: 1}]) { __typename } }"}`
	for _, body := range []string{oneCode, entity} {
		got := send(t, "POST", base, body, jsonHeader)
		if got.status != 200 || !strings.Contains(got.body, "Something went wrong. Quote the request id.") || strings.Contains(got.body, "s3cr3t") {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

func TestIntrospectionOff(t *testing.T) {
	base := serve(t, source(anyCode), graph.Options{SDL: "the SDL", Federation: true})
	tests := []struct{ name, query, want string }{
		{"schema", `{ __schema { queryType { name } } }`, "INTROSPECTION_DISABLED"},
		{"type", `{ __type(name: \"Query\") { name } }`, "INTROSPECTION_DISABLED"},
		{"service stays", `{ _service { sdl } }`, "the SDL"},
		{"typename stays", `{ __typename }`, `"Query"`},
		{"no suggestion", `{ authorizationCod }`, `Cannot query field \"authorizationCod\" on type \"Query\"."`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := send(t, "POST", base, `{"query":"`+tt.query+`"}`, jsonHeader); !strings.Contains(got.body, tt.want) {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

func TestLeastFreshDecides(t *testing.T) {
	now := time.Now()
	base := serve(t, source(func(_ context.Context, _ upstream.Credential, pk upstream.PK) (graph.GrantRead, error) {
		read := graph.GrantRead{Freshness: grants.Freshness{Cached: true, FreshUntil: now.Add(time.Duration(pk) * time.Hour)}}
		read.FetchedAt = now.Add(-time.Duration(pk) * time.Minute)
		read.Value = &upstream.Grant{PK: pk, Scope: []string{}}
		return read, nil
	}), graph.Options{})
	got := send(t, "POST", base, `{"query":"{ a: authorizationCode(id: 5) { id } b: authorizationCode(id: 2) { id } c: authorizationCode(id: 9) { id } }"}`, jsonHeader)
	if cc := got.header.Get("Cache-Control"); !strings.HasPrefix(cc, "private, max-age=71") {
		t.Errorf("Cache-Control %q, want what is left of two hours", cc)
	}
	if got.header.Get("Age") != "120" {
		t.Errorf("Age %q, want that of the same code", got.header.Get("Age"))
	}
}

// readFile returns a file of this package's folder.
func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

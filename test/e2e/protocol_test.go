package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

const oneCode = `query One { authorizationCode(id: 17) { id } }`

// aliceHas17 starts an authentik in which alice has code 17.
func aliceHas17(t *testing.T) *fake {
	t.Helper()
	up := startFake(t, upstreamtest.Options{})
	up.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
	return up
}

// post sends a JSON body as alice.
func post(t *testing.T, base string, body any) reply {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req := newRequest(t, http.MethodPost, base+"/graphql", strings.NewReader(string(b)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
	return send(t, req)
}

// get sends parameters in the URL as alice.
func get(t *testing.T, base string, parameters map[string]string) reply {
	t.Helper()
	values := url.Values{}
	for name, value := range parameters {
		values.Set(name, value)
	}
	req := newRequest(t, http.MethodGet, base+"/graphql?"+values.Encode(), nil)
	req.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
	return send(t, req)
}

type object = map[string]any

func persisted(hash string) object {
	return object{"persistedQuery": object{"version": 1, "sha256Hash": hash}}
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func callerOf(name, token string, rights ...string) string {
	return strings.Join(append([]string{name, hashOf(token)}, rights...), " ") + "\n"
}

func TestPersistedQueries(t *testing.T) {
	up, server := aliceHas17(t), cachetest.StartRedis(t)
	settings := []string{"AUTHENTIK_URL=" + up.URL, "REDIS_URL=" + server.URL(), "CACHE_SECRET=" + testSecret}
	one := startApp(t, nil, settings...).URL
	other := startApp(t, nil, settings...).URL
	byHash := object{"extensions": persisted(hashOf(oneCode))}
	extensions, err := json.Marshal(persisted(hashOf(oneCode)))
	if err != nil {
		t.Fatal(err)
	}
	inURL := map[string]string{"extensions": string(extensions)}

	for name, got := range map[string]reply{"POST": post(t, one, byHash), "GET": get(t, one, inURL)} {
		if got.Status != 200 || got.Codes() != "PERSISTED_QUERY_NOT_FOUND" || got.Errors[0].Message != "PersistedQueryNotFound" ||
			got.Header.Get("Cache-Control") != "no-store" || got.Data != nil {
			t.Errorf("%s of an unknown hash: %d %q %s", name, got.Status, got.Header.Get("Cache-Control"), got.Body)
		}
	}
	t.Run("a text that is not valid is not kept", func(t *testing.T) {
		const invalid = `{ unknown }`
		post(t, one, object{"query": invalid, "extensions": persisted(hashOf(invalid))})
		if got := post(t, one, object{"extensions": persisted(hashOf(invalid))}); got.Codes() != "PERSISTED_QUERY_NOT_FOUND" {
			t.Errorf("%s", got.Body)
		}
	})
	t.Run("a text with another's hash is refused", func(t *testing.T) {
		got := post(t, one, object{"query": `{ __typename }`, "extensions": persisted(hashOf(oneCode))})
		if got.Status != 400 || got.Codes() != "BAD_REQUEST" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	if got := post(t, one, object{"query": oneCode, "extensions": persisted(hashOf(oneCode))}); got.Codes() != "" || got.Data == nil {
		t.Fatalf("registering: %s", got.Body)
	}
	for name, got := range map[string]reply{
		"POST":                     post(t, one, byHash),
		"GET":                      get(t, one, inURL),
		"POST to another process":  post(t, other, byHash),
		"with the operation named": post(t, other, object{"extensions": persisted(hashOf(oneCode)), "operationName": "One"}),
	} {
		if got.Codes() != "" || !strings.Contains(string(got.Data), `"17"`) {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	for name, extensions := range map[string]any{
		"another version": object{"persistedQuery": object{"version": 2, "sha256Hash": hashOf(oneCode)}},
		"no hash":         object{"persistedQuery": object{"version": 1}},
		"no object":       object{"persistedQuery": "x"},
	} {
		if got := post(t, one, object{"extensions": extensions}); got.Status != 400 || got.Codes() != "BAD_REQUEST" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	for _, hash := range []string{"x", strings.Repeat("A", 64), strings.Repeat("0", 63)} {
		if got := post(t, one, object{"extensions": persisted(hash)}); got.Codes() != "PERSISTED_QUERY_NOT_FOUND" {
			t.Errorf("the hash %q: %s", hash, got.Body)
		}
	}
}

func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	up := aliceHas17(t)
	const trusted = `query Trusted($id: ID!) { authorizationCode(id: $id) { id } }`
	manifest := `{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"any id","name":"Trusted","type":"query","body":` + quote(trusted) + `}]}`
	for form, content := range map[string]string{"manifest": manifest, "map": `{"any id":` + quote(trusted) + `}`} {
		t.Run(form, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "documents.json")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			settings := []string{"AUTHENTIK_URL=" + up.URL, "TRUSTED_DOCUMENTS=" + file}
			open := startApp(t, nil, settings...).URL
			only := startApp(t, nil, append(settings, "TRUSTED_DOCUMENTS_ONLY=true")...).URL
			variables := object{"id": 17}
			for _, tt := range []struct {
				name       string
				body       object
				open, only string // codes
			}{
				{"by documentId", object{"documentId": "any id", "variables": variables}, "", ""},
				{"by hash", object{"extensions": persisted("any id"), "variables": variables}, "", ""},
				{"with its text", object{"documentId": "any id", "query": trusted, "variables": variables}, "", ""},
				{"with another text", object{"documentId": "any id", "query": oneCode}, "BAD_REQUEST", "BAD_REQUEST"},
				{"unknown documentId", object{"documentId": "other"}, "DOCUMENT_NOT_TRUSTED", "DOCUMENT_NOT_TRUSTED"},
				{"unknown documentId with a text", object{"documentId": "other", "query": oneCode}, "DOCUMENT_NOT_TRUSTED", "DOCUMENT_NOT_TRUSTED"},
				{"unknown hash", object{"extensions": persisted(hashOf("x"))}, "PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_NOT_FOUND"},
				{"what a gateway asks, with its hash", object{"query": `{ _service { sdl } }`, "extensions": persisted(hashOf(`{ _service { sdl } }`))}, "", ""},
				{"and with another hash", object{"query": `{ _service { sdl } }`, "extensions": persisted(hashOf("x"))}, "BAD_REQUEST", "BAD_REQUEST"},
				{"with an unused fragment", object{"query": `{ _service { sdl } } fragment F on Query { __typename }`}, "GRAPHQL_VALIDATION_FAILED", "DOCUMENT_NOT_TRUSTED"},
				{"a text", object{"query": oneCode}, "", "DOCUMENT_NOT_TRUSTED"},
				{"its own text alone", object{"query": trusted, "variables": variables}, "", "DOCUMENT_NOT_TRUSTED"},
				{"registering", object{"query": oneCode, "extensions": persisted(hashOf(oneCode))}, "", "DOCUMENT_NOT_TRUSTED"},
				{"introspection", object{"query": `{ __schema { queryType { name } } }`}, "", "DOCUMENT_NOT_TRUSTED"},
				{"what a gateway asks", object{"query": `{ _service { sdl } }`}, "", ""},
				{"and more than that", object{"query": `{ _service { sdl } authorizationCode(id: 17) { id } }`}, "", "DOCUMENT_NOT_TRUSTED"},
				{"and a fragment", object{"query": `{ _service { sdl } ...F } fragment F on Query { authorizationCode(id: 17) { id } }`}, "", "DOCUMENT_NOT_TRUSTED"},
			} {
				for base, want := range map[string]string{open: tt.open, only: tt.only} {
					if got := post(t, base, tt.body); got.Codes() != want || want == "" && got.Data == nil {
						t.Errorf("%s, only trusted %t: %s", tt.name, base == only, got.Body)
					}
				}
			}
			if got := get(t, only, map[string]string{"documentId": "any id", "variables": `{"id":"17"}`}); got.Codes() != "" {
				t.Errorf("by GET: %s", got.Body)
			}
			if got := send(t, newRequest(t, http.MethodGet, only+"/", nil)); got.Status != 404 {
				t.Errorf("the Playground is served: %d", got.Status)
			}
		})
	}
}

func TestTrustedDocumentsThatCannotBeUsed(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"no JSON":           {`x`, "is not a JSON object"},
		"no document":       {`{}`, "holds no document"},
		"not valid":         {`{"a":"{ unknown }"}`, `the id "a"`},
		"not parsable":      {`{"a":"{"}`, `the id "a"`},
		"over a limit":      {`{"a":"{` + strings.Repeat(" __typename", 101) + `}"}`, "MAX_REPEATS"},
		"not a text":        {`{"a":1}`, `must be {"<id>": "<document>"}`},
		"an id twice":       {`{"a":"{__typename}","a":"{__typename}"}`, "is not a JSON object"},
		"another version":   {`{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}`, "another format or version"},
		"manifest id twice": {`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","body":"{__typename}"},{"id":"a","body":"{__typename}"}]}`, `"a" twice`},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "documents.json")
			if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			err := run(t.Context(), []string{"-demo", "-check"}, []string{"TRUSTED_DOCUMENTS=" + file}, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "TRUSTED_DOCUMENTS "+tt.want) && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want it to say %s", err, tt.want)
			}
		})
	}
	err := run(t.Context(), []string{"-demo", "-check"}, []string{"TRUSTED_DOCUMENTS_ONLY=true"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "TRUSTED_DOCUMENTS is required") {
		t.Errorf("only, without a file: %v", err)
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestCompression(t *testing.T) {
	t.Parallel()
	up := aliceHas17(t)
	const small, large = `{ __typename }`, `{ _service { sdl } }`
	for _, tt := range []struct {
		name, query, accept, redact string
		want                        string
	}{
		{"a large answer", large, "gzip", "", "gzip"},
		{"a small answer", small, "gzip", "", ""},
		{"a client that does not accept it", large, "identity", "", ""},
		{"one that knows more", large, "br, zstd, gzip", "", "gzip"},
		{"where secrets are shown", large, "gzip", "none", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "REDACT="+tt.redact).URL
			req := newRequest(t, http.MethodPost, base+"/graphql", strings.NewReader(`{"query":`+quote(tt.query)+`}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept-Encoding", tt.accept)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := resp.Header.Get("Content-Encoding"); got != tt.want {
				t.Errorf("Content-Encoding is %q, want %q", got, tt.want)
			}
			vary := strings.Join(resp.Header["Vary"], ", ")
			if tt.redact == "" && !strings.Contains(vary, "Accept-Encoding") || !strings.Contains(vary, "Authorization") {
				t.Errorf("Vary is %q", vary)
			}
		})
	}
}

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/config"
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

// get sends the parameters in the URL as alice.
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
				{"and with a fragment that nobody uses", object{"query": `{ _service { sdl } } fragment F on Query { __typename }`}, "GRAPHQL_VALIDATION_FAILED", "DOCUMENT_NOT_TRUSTED"},
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

// TestEveryLimit exceeds each limit, which is set low if it can be set, and wants an error that names
// it.
func TestEveryLimit(t *testing.T) {
	up := aliceHas17(t)
	text := func(document string) object { return object{"query": document} }
	many := make([]object, 3)
	for i := range many {
		many[i] = object{"__typename": "AuthorizationCode", "id": fmt.Sprint(17 + i)}
	}
	repeat := strings.Repeat
	fields := func(n int) (all string) {
		for i := range n {
			all += fmt.Sprintf("a%d: __typename ", i)
		}
		return all
	}
	deep := any(object{})
	for range document.MaxValueDepth {
		deep = []any{deep}
	}
	entities := `query($r:[_Any!]!){_entities(representations:$r){__typename}}`
	for _, tt := range []struct {
		setting, value string
		body           any
		status         int
		code           string
	}{
		{"MAX_BODY", "100", text(strings.Repeat(" ", 100)), 413, "PAYLOAD_TOO_LARGE"},
		{"MAX_TOKENS", "5", text(`{ a: __typename b: __typename }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_DEPTH", "2", text(`{ authorizationCode(id: 17) { user { id } } }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_REPRESENTATIONS", "2", object{"query": entities, "variables": object{"r": many}}, 200, "LIMIT_EXCEEDED"},
		{"MAX_COMPLEXITY", "3", object{"query": entities, "variables": object{"r": many}}, 200, "LIMIT_EXCEEDED"},
		{"MAX_ANSWER", "50", text(`{ authorizationCode(id: 17) { user { name username email uid avatar } } }`), 200, "LIMIT_EXCEEDED"},
		{"OPERATION_UPSTREAM_CALLS", "2", text(`{ a: authorizationCode(id: 17) { id } b: authorizationCode(id: 17) { id } c: authorizationCode(id: 18) { id } d: authorizationCode(id: 19) { id } }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_NAME", "128", text(`{ ` + repeat("a", 129) + `: __typename }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_FIELDS", "3000", text(`{ ...F ...F ...F } fragment F on Query { ...G ...G ...G ...G } fragment G on Query { ` + repeat("__typename ", 250) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_ALIASES", "200", text(`{ authorizationCode(id: 17) { ` + fields(201) + `} }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_ROOT_FIELDS", "100", text(`{ ` + fields(101) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_REPEATS", "100", text(`{ ` + repeat("__typename ", 101) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_DIRECTIVES", "100", text(`{ __typename ` + repeat("@skip(if: false) ", 101) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_OPERATIONS", "10", text(repeat(`query { __typename } `, 11)), 200, "LIMIT_EXCEEDED"},
		{"MAX_VALUE_DEPTH", "10", object{"query": entities, "variables": object{"r": deep}}, 400, "LIMIT_EXCEEDED"},
		{"MAX_VARIABLES", "32768", object{"query": entities, "variables": object{"r": repeat("a", document.MaxVariables)}}, 400, "LIMIT_EXCEEDED"},
		{"MAX_INTROSPECTION_DEPTH", "2", text(`{ __type(name: "Query") { fields { type { fields { type { fields { name } } } } } } }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_ERRORS", "10", text(`{ a b c d e f g h i j k }`), 200, "LIMIT_EXCEEDED"},
	} {
		t.Run(tt.setting, func(t *testing.T) {
			var set []string
			if slices.ContainsFunc(config.Settings(), func(s config.Setting) bool { return s.Name == tt.setting }) {
				set = []string{tt.setting + "=" + tt.value}
			}
			got := post(t, startApp(t, nil, append(set, "AUTHENTIK_URL="+up.URL)...).URL, tt.body)
			last := len(got.Errors) - 1
			if got.Status != tt.status || last < 0 || !strings.Contains(got.Codes(), tt.code) {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			if want := tt.setting + " allows, which is " + tt.value + "."; !strings.Contains(string(got.Body), want) ||
				!strings.Contains(string(got.Body), `"limit":"`+tt.setting+`"`) {
				t.Errorf("want %q in %s", want, got.Body)
			}
		})
	}
	base := startApp(t, nil, "AUTHENTIK_URL="+up.URL).URL
	t.Run("MAX_URL", func(t *testing.T) {
		got := get(t, base, map[string]string{"query": repeat(" ", document.MaxURL)})
		if got.Status != 414 || got.Codes() != "URI_TOO_LONG" || !strings.Contains(string(got.Body), `"limit":"MAX_URL"`) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("MAX_HEADERS", func(t *testing.T) {
		req := newRequest(t, http.MethodPost, base+"/graphql", strings.NewReader("{}"))
		req.Header.Set("X-Large", repeat("a", document.MaxHeaders))
		got := send(t, req)
		if got.Status != 431 || got.Codes() != "HEADERS_TOO_LARGE" || !strings.Contains(string(got.Body), `"limit":"MAX_HEADERS"`) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("OPERATION_TIMEOUT", func(t *testing.T) {
		slow := startFake(t, upstreamtest.Options{})
		slow.SetFault(17, upstreamtest.Hang)
		base := startApp(t, nil, "AUTHENTIK_URL="+slow.URL, "OPERATION_TIMEOUT=50ms").URL
		if got := post(t, base, text(oneCode)); got.Codes() != "GATEWAY_TIMEOUT" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		slow.Close() // ends what still waits there
	})
}

// TestConnectionLimit: who comes over the limit is told, and who was there is served.
func TestConnectionLimit(t *testing.T) {
	base := startApp(t, []string{"-demo"}, "MAX_CONNECTIONS=3").URL
	addr := strings.TrimPrefix(base, "http://")
	ask := func(c net.Conn, path string) string {
		t.Helper()
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	answer := func(c net.Conn) string { return ask(c, "/nothing") }
	dial := func() net.Conn {
		t.Helper()
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	var first net.Conn
	for range 3 {
		first = dial()
		if got := answer(first); !strings.HasPrefix(got, "HTTP/1.1 404") {
			t.Fatal(got)
		}
	}
	got := answer(dial())
	for _, want := range []string{"HTTP/1.1 503", "Connection: close", "TOO_MANY_CONNECTIONS", "MAX_CONNECTIONS", "Retry-After"} {
		if !strings.Contains(got, want) {
			t.Errorf("over the limit, want %q in %s", want, got)
		}
	}
	for _, probe := range []string{"/healthz", "/readyz"} {
		if got := ask(dial(), probe); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s over the limit: %s", probe, got)
		}
	}
	if got := answer(first); !strings.HasPrefix(got, "HTTP/1.1 404") {
		t.Errorf("on a connection within the limit: %s", got)
	}
	_ = first.Close()
	cachetest.Eventually(t, "a closed connection makes room", func() bool { return strings.HasPrefix(answer(dial()), "HTTP/1.1 404") })
}

func TestCompression(t *testing.T) {
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

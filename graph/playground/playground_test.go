package playground_test

import (
	"compress/gzip"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"authentik-graphql/graph/generated"
	"authentik-graphql/graph/playground"
)

// ask sends one request to a Playground made with o.
func ask(o playground.Options, method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	playground.Handler(o).ServeHTTP(w, r)
	return w
}

// pageConfig is what the page passes to its program.
type pageConfig struct {
	Endpoint, Authorization string
	Placeholder             bool
	Tabs                    []struct{ Query, Variables string }
}

// readConfig reads the configuration of a page.
func readConfig(t *testing.T, page string) pageConfig {
	t.Helper()
	match := regexp.MustCompile(`data-config="([^"]*)"`).FindStringSubmatch(page)
	if match == nil {
		t.Fatalf("no data-config in\n%s", page)
	}
	var c pageConfig
	if err := json.Unmarshal([]byte(html.UnescapeString(match[1])), &c); err != nil {
		t.Fatalf("data-config: %v", err)
	}
	return c
}

func TestRouting(t *testing.T) {
	tests := []struct {
		name, method, target string
		want                 int
	}{
		{"page", http.MethodGet, "/", http.StatusOK},
		{"page head", http.MethodHead, "/", http.StatusOK},
		{"program", http.MethodGet, "/playground/playground.js", http.StatusOK},
		{"vendor file", http.MethodHead, "/playground/vendor/graphiql.min.js", http.StatusOK},
		{"licence", http.MethodGet, "/playground/vendor/graphiql.LICENSE.txt", http.StatusOK},
		{"page post", http.MethodPost, "/", http.StatusMethodNotAllowed},
		{"file delete", http.MethodDelete, "/playground/playground.js", http.StatusMethodNotAllowed},
		{"folder", http.MethodGet, "/playground/", http.StatusNotFound},
		{"folder without slash", http.MethodGet, "/playground", http.StatusNotFound},
		{"template", http.MethodGet, "/playground/index.html", http.StatusNotFound},
		{"document", http.MethodGet, "/playground/one-code.graphql", http.StatusNotFound},
		{"versions", http.MethodGet, "/playground/vendor/VERSIONS", http.StatusNotFound},
		{"traversal", http.MethodGet, "/playground/../playground.go", http.StatusNotFound},
		{"elsewhere", http.MethodGet, "/favicon.ico", http.StatusNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(playground.Options{}, tt.method, tt.target, nil)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d", w.Code, tt.want)
			}
			if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", w.Header().Get("Allow"))
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options":     "nosniff",
				"Referrer-Policy":            "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("Content-Security-Policy: %q", policy)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	w := ask(playground.Options{}, http.MethodGet, "/", nil)
	policy := w.Header().Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "img-src 'self' data:", "font-src 'self' data:",
		"connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !strings.Contains(policy+";", directive+";") {
			t.Errorf("no %q in %q", directive, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy allows something unsafe: %q", policy)
	}
	nonce := regexp.MustCompile(`style-src 'self' 'nonce-([^']+)'`).FindStringSubmatch(policy)
	if nonce == nil || !strings.Contains(w.Body.String(), `nonce="`+nonce[1]+`"`) {
		t.Errorf("the page does not carry the nonce of %q", policy)
	}
	if again := ask(playground.Options{}, http.MethodGet, "/", nil); again.Header().Get("Content-Security-Policy") == policy {
		t.Error("two answers share a nonce")
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q, want no-store: the page holds a nonce and maybe a token", got)
	}
}

// TestPageURLs checks that every URL in the page is relative, works, and is immutable, and that no script
// is inline.
func TestPageURLs(t *testing.T) {
	page := ask(playground.Options{}, http.MethodGet, "/", nil).Body.String()
	urls := regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(urls) < 6 {
		t.Fatalf("found only %d URLs in\n%s", len(urls), page)
	}
	for _, match := range urls {
		address := match[1]
		if strings.HasPrefix(address, "/") || strings.Contains(address, ":") {
			t.Errorf("%q is not relative", address)
			continue
		}
		w := ask(playground.Options{}, http.MethodGet, "/"+address, nil)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, Cache-Control %q", address, w.Code, w.Header().Get("Cache-Control"))
		}
	}
	for _, script := range regexp.MustCompile(`<script[^>]*>`).FindAllString(page, -1) {
		if !strings.Contains(script, "src=") {
			t.Errorf("inline script %s", script)
		}
	}
}

func TestETag(t *testing.T) {
	const target = "/playground/playground.js"
	plain := ask(playground.Options{}, http.MethodGet, target, nil)
	packed := ask(playground.Options{}, http.MethodGet, target, http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}})
	refused := ask(playground.Options{}, http.MethodGet, target, http.Header{"Accept-Encoding": {"gzip;q=0"}})

	if got := plain.Header().Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control without a version %q, want no-cache", got)
	}
	if refused.Header().Get("Content-Encoding") != "" || packed.Header().Get("Content-Encoding") != "gzip" {
		t.Error("gzip is not served exactly when it is accepted")
	}
	if plain.Header().Get("ETag") == packed.Header().Get("ETag") {
		t.Error("two representations share a strong ETag")
	}
	reader, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(reader); err != nil || string(unpacked) != plain.Body.String() {
		t.Errorf("unpacked content differs (%v)", err)
	}
	w := ask(playground.Options{}, http.MethodGet, target, http.Header{"If-None-Match": {plain.Header().Get("ETag")}})
	if w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("status %d with %d bytes, want 304 without a body", w.Code, w.Body.Len())
	}
}

func TestConfig(t *testing.T) {
	const nasty = "\"><script>alert('1')</script>&amp;</div>"
	page := ask(playground.Options{ExampleID: nasty, Authorization: nasty}, http.MethodGet, "/", nil).Body.String()
	if strings.Contains(page, "<script>") || strings.Contains(page, "alert('") {
		t.Errorf("not escaped:\n%s", page)
	}
	c := readConfig(t, page)
	if c.Authorization != nasty || c.Placeholder {
		t.Errorf("authorization %q, placeholder %t", c.Authorization, c.Placeholder)
	}
	var variables struct{ ID string }
	if err := json.Unmarshal([]byte(c.Tabs[0].Variables), &variables); err != nil || variables.ID != nasty {
		t.Errorf("variables %q (%v)", c.Tabs[0].Variables, err)
	}

	c = readConfig(t, ask(playground.Options{}, http.MethodGet, "/", nil).Body.String())
	if c.Authorization != "Bearer <your authentik API token>" || !c.Placeholder || c.Endpoint != "graphql" || len(c.Tabs) != 4 {
		t.Errorf("defaults: %+v", c)
	}
	if c.Tabs[0].Variables != "{\n  \"id\": \"1\"\n}" {
		t.Errorf("default variables %q", c.Tabs[0].Variables)
	}
	if c.Tabs[3].Variables != "{\n  \"id\": \"\"\n}" {
		t.Errorf("by default %q is revoked", c.Tabs[3].Variables)
	}
	c = readConfig(t, ask(playground.Options{RevokeID: "20"}, http.MethodGet, "/", nil).Body.String())
	if c.Tabs[3].Variables != "{\n  \"id\": \"20\"\n}" {
		t.Errorf("%q is revoked, not 20", c.Tabs[3].Variables)
	}
}

func TestErrorsTab(t *testing.T) {
	c := readConfig(t, ask(playground.Options{Errors: []playground.ErrorExample{
		{Code: "NOT_FOUND", ID: "404"},
		{Code: "BAD_USER_INPUT", ID: "1\"\\\n"},
	}}, http.MethodGet, "/", nil).Body.String())
	document, err := parser.ParseQuery(&ast.Source{Input: c.Tabs[4].Query})
	if err != nil {
		t.Fatalf("%v in\n%s", err, c.Tabs[4].Query)
	}
	want := [][2]string{{"NOT_FOUND", "404"}, {"BAD_USER_INPUT", "1\"\\\n"}}
	fields := document.Operations[0].SelectionSet
	if len(fields) != len(want) {
		t.Fatalf("%d fields in\n%s", len(fields), c.Tabs[4].Query)
	}
	for i, selection := range fields {
		field := selection.(*ast.Field)
		if got := [2]string{field.Alias, field.Arguments[0].Value.Raw}; got != want[i] {
			t.Errorf("field %d: %q, want %q", i, got, want[i])
		}
	}
}

// TestDocuments validates the queries of all tabs.
func TestDocuments(t *testing.T) {
	c := readConfig(t, ask(playground.Options{Errors: []playground.ErrorExample{{Code: "x", ID: "1"}}},
		http.MethodGet, "/", nil).Body.String())
	if len(c.Tabs) != 5 {
		t.Errorf("%d tabs, want 5", len(c.Tabs))
	}
	for i, tab := range c.Tabs {
		if _, errs := gqlparser.LoadQueryWithRules(generated.NewExecutableSchema(generated.Config{}).Schema(), tab.Query, rules.NewDefaultRules()); errs != nil {
			t.Errorf("tab %d: %v", i, errs)
		}
	}
}

package graph

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
	"unicode"
)

// The Playground's page, program and styles, and GraphiQL with React as published on npm; see
// playground/vendor/VERSIONS.
//
//go:embed playground/*.html playground/*.js playground/*.css playground/*.svg playground/*.graphql
//go:embed playground/vendor
var playgroundFiles embed.FS

// placeholderAuthorization stands in the headers pane until the user pastes a token. The page
// never sends it.
const placeholderAuthorization = "Bearer <your authentik API token>"

// playgroundPolicy is the page's Content-Security-Policy; %s is a nonce made for each answer.
//
// Nothing comes from another origin and no script is inline. Styles need neither
// 'unsafe-inline' nor style attributes: React and CodeMirror set styles through the DOM, which
// the policy does not touch. The one exception is the style element that GraphiQL's dialogs and
// menus insert to lock scrolling, whose text depends on the width of the scroll bar, so that a
// hash would not do: it carries the nonce. GraphiQL's style sheet holds its fonts and some of
// its pictures as data: URIs.
const playgroundPolicy = "default-src 'none'; " +
	"script-src 'self'; " +
	"style-src 'self' 'nonce-%s'; " +
	"img-src 'self' data:; " +
	"font-src 'self' data:; " +
	"connect-src 'self'; " +
	"base-uri 'none'; " +
	"form-action 'none'; " +
	"frame-ancestors 'none'"

// filePolicy is the Content-Security-Policy of everything but the page: opened on its own, such
// a file may do nothing.
const filePolicy = "default-src 'none'; frame-ancestors 'none'"

// PlaygroundOptions chooses what the Playground's first tabs hold.
type PlaygroundOptions struct {
	// ExampleID is the id of the authorization code in the example queries; empty means "1".
	ExampleID string
	// Authorization fills the Authorization line of the headers pane, such as "Bearer token". It
	// is written into the page for everyone who opens it: leave it empty, which shows a
	// placeholder, unless the token is public as in a demonstration.
	Authorization string
	// RevokeID is the id of the code in the example of a revocation; empty leaves it to the user, so that
	// nobody revokes a code by trying.
	RevokeID string
	// ErrorIDs adds a tab that provokes one error for each entry.
	ErrorIDs []PlaygroundError
}

// PlaygroundError names an id for which authorizationCode answers an error.
type PlaygroundError struct {
	Label string // what goes wrong, such as "not found"; becomes the alias notFound
	ID    string
}

// Playground serves GraphiQL: the page at / and its files below /playground/. All of them are in
// the binary, and all URLs in them are relative, so that the handler also works behind a proxy
// that strips a path prefix. The page sends its queries to graphql next to itself.
//
// GET and HEAD are answered, other methods get 405 and other paths 404.
func Playground(o PlaygroundOptions) http.Handler {
	p := &playground{files: loadPlaygroundFiles(), config: o.config()}
	p.page = template.Must(template.New("index.html").
		Funcs(template.FuncMap{"asset": p.url}).
		ParseFS(playgroundFiles, "playground/index.html"))
	return p
}

// playground is the handler that Playground returns.
type playground struct {
	page   *template.Template
	config string // a playgroundConfig as JSON
	files  map[string]*playgroundFile
}

var _ http.Handler = (*playground)(nil)

// ServeHTTP implements http.Handler.
func (p *playground) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", filePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")

	name, isFile := strings.CutPrefix(r.URL.Path, "/playground/")
	file := p.files[name]
	switch {
	case isFile && file == nil, !isFile && r.URL.Path != "/":
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case isFile:
		file.serve(w, r)
	default:
		p.servePage(w)
	}
}

// servePage answers the page. It is made anew each time, because a nonce must not repeat, and
// never kept, because it may hold a token.
func (p *playground) servePage(w http.ResponseWriter) {
	nonce := rand.Text()
	var page bytes.Buffer
	err := p.page.Execute(&page, struct{ Config, Nonce string }{p.config, nonce})
	if err != nil {
		http.Error(w, "the Playground cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", fmt.Sprintf(playgroundPolicy, nonce))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(page.Bytes()) // the client is gone if this fails
}

// url returns the relative URL of a file for the page. It names the content, so that a browser
// can keep the file for good.
func (p *playground) url(name string) (string, error) {
	file := p.files[name]
	if file == nil {
		return "", fmt.Errorf("graph: no Playground file %q", name)
	}
	return "playground/" + name + "?v=" + file.version, nil
}

// playgroundFile is one static file.
type playgroundFile struct {
	content     []byte
	contentType string
	version     string // from the hash of content
	gzipped     func() []byte
}

// playgroundTypes says which of the embedded files are served, and as what. They are given here
// because the operating system's table may differ.
var playgroundTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

// loadPlaygroundFiles returns the files to serve by their path below /playground/. It panics if
// the binary's own files cannot be read, which the compiler rules out.
func loadPlaygroundFiles() map[string]*playgroundFile {
	files := make(map[string]*playgroundFile)
	err := fs.WalkDir(playgroundFiles, "playground", func(name string, entry fs.DirEntry, err error) error {
		contentType, served := playgroundTypes[path.Ext(name)]
		if err != nil || entry.IsDir() || !served {
			return err
		}
		content, err := playgroundFiles.ReadFile(name)
		files[strings.TrimPrefix(name, "playground/")] = newPlaygroundFile(content, contentType)
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("graph: embedded Playground: %v", err))
	}
	return files
}

// newPlaygroundFile hashes content; it is compressed when a client first asks for that.
func newPlaygroundFile(content []byte, contentType string) *playgroundFile {
	sum := sha256.Sum256(content)
	return &playgroundFile{
		content:     content,
		contentType: contentType,
		version:     hex.EncodeToString(sum[:8]),
		gzipped:     sync.OnceValue(func() []byte { return gzipBytes(content) }),
	}
}

// serve answers the file, compressed if the client accepts that, or 304.
func (f *playgroundFile) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	content, etag := f.content, f.version
	if acceptsGzip(r) {
		content, etag = f.gzipped(), f.version+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reports whether a client lists gzip without refusing it. Weights other than zero
// do not matter: there is nothing else to choose from.
func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.TrimRight(strings.ReplaceAll(weight, " ", ""), ".0")
			return weight != "q="
		}
	}
	return false
}

// gzipBytes compresses content. Writing to memory cannot fail.
func gzipBytes(content []byte) []byte {
	var buffer bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
	_, _ = w.Write(content)
	_ = w.Close()
	return buffer.Bytes()
}

// playgroundConfig is what playground.js reads from the page.
type playgroundConfig struct {
	Endpoint      string          `json:"endpoint"`
	Authorization string          `json:"authorization"`
	Placeholder   bool            `json:"placeholder"` // Authorization is not a token
	Tabs          []playgroundTab `json:"tabs"`
}

// playgroundTab is one tab; GraphiQL titles it by the name of the operation.
type playgroundTab struct {
	Query     string `json:"query"`
	Variables string `json:"variables"`
}

// config returns the page's configuration as JSON.
func (o PlaygroundOptions) config() string {
	id := o.ExampleID
	if id == "" {
		id = "1"
	}
	variables := func(id string) string { return "{\n  \"id\": " + quoteJSON(id) + "\n}" }
	c := playgroundConfig{
		Endpoint:      "graphql",
		Authorization: o.Authorization,
		Placeholder:   o.Authorization == "",
		Tabs: []playgroundTab{
			{Query: playgroundDocument("one-code.graphql"), Variables: variables(id)},
			{Query: playgroundDocument("one-code-in-full.graphql"), Variables: variables(id)},
			{Query: playgroundDocument("page-of-codes.graphql"), Variables: "{\n  \"first\": 5,\n  \"after\": null\n}"},
			{Query: playgroundDocument("revoke-code.graphql"), Variables: variables(o.RevokeID)},
		},
	}
	if c.Placeholder {
		c.Authorization = placeholderAuthorization
	}
	if len(o.ErrorIDs) > 0 {
		c.Tabs = append(c.Tabs, playgroundTab{Query: errorsDocument(o.ErrorIDs)})
	}
	return quoteJSON(c)
}

// playgroundDocument returns an embedded query. It panics if there is none of that name.
func playgroundDocument(name string) string {
	document, err := playgroundFiles.ReadFile("playground/" + name)
	if err != nil {
		panic(fmt.Sprintf("graph: embedded Playground: %v", err))
	}
	return strings.TrimSpace(string(document))
}

// errorsDocument returns a query that provokes each error once, under an alias that names it.
func errorsDocument(ids []PlaygroundError) string {
	var b strings.Builder
	b.WriteString("# Each of these fails in its own way:\n# compare the errors' `extensions.code`.\n")
	b.WriteString("query DemoErrors {\n")
	used := make(map[string]int)
	for _, e := range ids {
		alias := aliasFor(e.Label)
		used[alias]++
		if n := used[alias]; n > 1 {
			alias = fmt.Sprintf("%s_%d", alias, n)
		}
		// A JSON string without HTML escapes is a GraphQL string.
		fmt.Fprintf(&b, "  %s: authorizationCode(id: %s) {\n    id\n  }\n", alias, quoteJSON(e.ID))
	}
	b.WriteString("}")
	return b.String()
}

// aliasFor turns a label into a GraphQL name: "Not found" becomes notFound.
func aliasFor(label string) string {
	words := strings.FieldsFunc(label, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for i, word := range words {
		switch {
		case i > 0:
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		case word == strings.ToUpper(word):
			words[i] = strings.ToLower(word)
		default:
			words[i] = strings.ToLower(word[:1]) + word[1:]
		}
	}
	alias := strings.Join(words, "")
	if alias == "" || unicode.IsDigit(rune(alias[0])) {
		alias = "error" + alias
	}
	return alias
}

// quoteJSON encodes strings and structs of them, which cannot fail, leaving <, > and & readable.
func quoteJSON(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return strings.TrimSuffix(b.String(), "\n")
}

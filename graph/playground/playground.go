package playground

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// The page, its program and styles, the example queries, and GraphiQL with React as published on npm
// (vendor/VERSIONS).
//
//go:embed *.html *.js *.css *.svg *.graphql vendor
var embedded embed.FS

// pagePolicy is the page's Content-Security-Policy; %s is a nonce made for each response.
//
// Nothing comes from another origin and no script is inline. Styles need neither 'unsafe-inline' nor
// style attributes: React and CodeMirror set styles through the DOM, which the policy does not touch.
// The one exception is the style element that GraphiQL's dialogs and menus insert to lock scrolling. Its
// text depends on the width of the scroll bar, so that a hash is impossible: it carries the nonce.
// GraphiQL's style sheet has its fonts and some of its pictures as data: URIs.
const pagePolicy = "default-src 'none'; " +
	"script-src 'self'; " +
	"style-src 'self' 'nonce-%s'; " +
	"img-src 'self' data:; " +
	"font-src 'self' data:; " +
	"connect-src 'self'; " +
	"base-uri 'none'; " +
	"form-action 'none'; " +
	"frame-ancestors 'none'"

// filePolicy is the Content-Security-Policy of everything but the page. Opened on its own, such a file
// may do nothing.
const filePolicy = "default-src 'none'; frame-ancestors 'none'"

// Options are what the Playground's first tabs contain.
type Options struct {
	// ExampleID is the id of the authorization code in the example queries; empty means "1".
	ExampleID string
	// Authorization fills the Authorization line of the headers pane, such as "Bearer token". Everyone who
	// opens the page sees it, so that only a public token may stand there, as in a demonstration. Empty
	// shows a placeholder.
	Authorization string
	// RevokeID is the id of the code in the example of a revocation. Empty leaves it to the user, so that
	// trying the example revokes nothing.
	RevokeID string
	// Errors adds a tab that provokes one error for each entry.
	Errors []ErrorExample
}

// ErrorExample names an id for which authorizationCode answers an error.
type ErrorExample struct {
	Code string // of the error, which becomes the alias of the field
	ID   string
}

// Handler serves GraphiQL: the page at / and its files below /playground/. All URLs in them are relative,
// so that the handler also works behind a proxy that strips a path prefix. The page sends its queries to
// graphql beside it.
func Handler(o Options) http.Handler {
	p := &handler{files: loadFiles(), config: o.config()}
	p.page = template.Must(template.New("index.html").
		Funcs(template.FuncMap{"asset": p.url}).
		ParseFS(embedded, "index.html"))
	return p
}

type handler struct {
	page   *template.Template
	config string // a config as JSON
	files  map[string]*file
}

var _ http.Handler = (*handler)(nil)

// ServeHTTP implements [http.Handler].
func (p *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// servePage makes the page for each request, because a nonce must not repeat. The page must not be
// stored, because it may contain a token.
func (p *handler) servePage(w http.ResponseWriter) {
	nonce := rand.Text()
	var page bytes.Buffer
	err := p.page.Execute(&page, struct{ Config, Nonce string }{p.config, nonce})
	if err != nil {
		http.Error(w, "the Playground cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", fmt.Sprintf(pagePolicy, nonce))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(page.Bytes()) // the client is gone if this fails
}

// url returns the relative URL of a file for the page. It identifies the content, so that a browser can
// store the file for good.
func (p *handler) url(name string) (string, error) {
	file := p.files[name]
	if file == nil {
		return "", fmt.Errorf("playground: no file %q", name)
	}
	return "playground/" + name + "?v=" + file.version, nil
}

// file is one static file.
type file struct {
	content     []byte
	contentType string
	version     string        // from the hash of content
	gzipped     func() []byte // compresses the first time
}

// contentTypes has the types of the files that are served, by extension. The operating system's table
// may differ.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

// loadFiles returns the files to serve by their path below /playground/. It panics if an embedded file
// cannot be read, which the compiler rules out.
func loadFiles() map[string]*file {
	files := make(map[string]*file)
	err := fs.WalkDir(embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		contentType, served := contentTypes[path.Ext(name)]
		if err != nil || entry.IsDir() || !served {
			return err
		}
		content, err := embedded.ReadFile(name)
		files[name] = newFile(content, contentType)
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("playground: embedded files: %v", err))
	}
	return files
}

func newFile(content []byte, contentType string) *file {
	sum := sha256.Sum256(content)
	return &file{
		content:     content,
		contentType: contentType,
		version:     hex.EncodeToString(sum[:8]),
		gzipped:     sync.OnceValue(func() []byte { return gzipBytes(content) }),
	}
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
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

// acceptsGzip reports whether a client lists gzip with a weight other than zero.
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

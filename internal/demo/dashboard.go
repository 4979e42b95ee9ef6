package demo

import (
	"net/http"
	"path"

	"github.com/go-json-experiment/json"

	"authentik-graphql/examples/dashboard"
)

// dashboardPolicy lets the page load its own scripts and styles and call its own origin. A script that writes
// markup into the page fails.
const dashboardPolicy = "default-src 'none'; " +
	"script-src 'self'; " +
	"style-src 'self'; " +
	"img-src data:; " +
	"connect-src 'self'; " +
	"base-uri 'none'; " +
	"form-action 'none'; " +
	"frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; " +
	"trusted-types 'none'"

// contentTypes do not depend on the operating system's table.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// Caller is a token that the dashboard offers.
type Caller struct {
	Label string `json:"label"`
	Token string `json:"token"`
}

// Dashboard serves the page of examples/dashboard at /dashboard and its files below. The page selects the
// first caller. URLs in the page and in redirects are relative, for proxies that strip a path prefix.
func Dashboard(callers []Caller) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dashboard", func(w http.ResponseWriter, r *http.Request) { serveFile(w, r, "index.html") })
	mux.HandleFunc("GET /dashboard/{file}", func(w http.ResponseWriter, r *http.Request) { serveFile(w, r, r.PathValue("file")) })
	mux.HandleFunc("GET /dashboard/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "../dashboard")
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	mux.HandleFunc("GET /dashboard/examples.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.MarshalWrite(w, map[string]any{"callers": callers}) // fails only if the client left
	})
	return mux
}

func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	content, err := dashboard.Files.ReadFile(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", dashboardPolicy)
	h.Set("Content-Type", contentTypes[path.Ext(name)])
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(content)
}

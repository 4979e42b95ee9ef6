package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"

	"authentik-graphql/upstream/upstreamtest"
)

//go:embed examples/dashboard/*.html examples/dashboard/*.js examples/dashboard/*.css
var dashboardFiles embed.FS

// dashboardPolicy lets the page load its own script and style, and ask its own origin. A script that
// wrote markup into the page would fail.
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

// dashboardTypes are given here because the operating system's table may differ.
var dashboardTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// dashboardExamples is what the page offers to those who try it.
type dashboardExamples struct {
	Callers []dashboardCaller `json:"callers"` // the first is chosen from the start
}

// dashboardCaller is a token that may be tried.
type dashboardCaller struct {
	Label string `json:"label"`
	Token string `json:"token"`
}

// dashboard serves the page of examples/dashboard at /dashboard and its files below, with what it
// offers; nil serves nothing.
type dashboard func() dashboardExamples

// addTo adds the dashboard's routes. URLs in the page and in redirects are relative, for proxies that
// strip a path prefix.
func (d dashboard) addTo(mux *http.ServeMux) {
	if d == nil {
		return
	}
	mux.HandleFunc("GET /dashboard", serveDashboardFile("index.html"))
	mux.HandleFunc("GET /dashboard/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "../dashboard")
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	files, err := fs.Glob(dashboardFiles, "examples/dashboard/*.[jc]s*")
	if err != nil {
		panic(err) // the pattern is right
	}
	for _, file := range files {
		mux.HandleFunc("GET /dashboard/"+path.Base(file), serveDashboardFile(path.Base(file)))
	}
	mux.HandleFunc("GET /dashboard/examples.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(d()) // the client is gone if this fails
	})
}

func serveDashboardFile(name string) http.HandlerFunc {
	content, err := fs.ReadFile(dashboardFiles, "examples/dashboard/"+name)
	if err != nil {
		panic(err) // the compiler has embedded it
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", dashboardPolicy)
		h.Set("Content-Type", dashboardTypes[path.Ext(name)])
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write(content) // the client is gone if this fails
	}
}

// demoDashboard offers the demonstration's tokens, that of the administrator first: a dashboard is for
// who sees everybody's.
func demoDashboard() dashboardExamples {
	return dashboardExamples{Callers: []dashboardCaller{
		{Label: "Everybody’s (root)", Token: upstreamtest.TokenRoot},
		{Label: "Alice’s", Token: upstreamtest.TokenAlice},
		{Label: "Bob’s", Token: upstreamtest.TokenBob},
	}}
}

package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strconv"

	"authentik-graphql/upstream/upstreamtest"
)

//go:embed examples/dashboard/index.html examples/dashboard/dashboard.js examples/dashboard/dashboard.css
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

// dashboardExamples is what the page fills in for those who try it.
type dashboardExamples struct {
	Token    string             `json:"token"`
	IDs      []string           `json:"ids"` // shown from the start
	Examples []dashboardExample `json:"examples"`
}

// dashboardExample is a button that adds codes.
type dashboardExample struct {
	Label string   `json:"label"`
	IDs   []string `json:"ids"`
}

// dashboard serves the page of examples/dashboard at /dashboard and its files below; nil serves
// nothing.
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
	mux.HandleFunc("GET /dashboard/dashboard.js", serveDashboardFile("dashboard.js"))
	mux.HandleFunc("GET /dashboard/dashboard.css", serveDashboardFile("dashboard.css"))
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

// demoDashboard suggests alice's codes of several ages, and on request those that answer errors.
func demoDashboard(demo *upstreamtest.Demo) dashboard {
	alice := strconv.Itoa(int(upstreamtest.DemoAlice))
	failing := []string{strconv.Itoa(int(upstreamtest.DemoBob))}
	for _, e := range demoErrors() {
		failing = append(failing, e.ID)
	}
	return func() dashboardExamples {
		var newest []string
		last := demo.Newest()
		last -= last % 2 // the odd ones are bob's
		for _, before := range []int32{0, 2, 6, 10, 16} {
			newest = append(newest, strconv.Itoa(int(last-before)))
		}
		return dashboardExamples{
			Token: upstreamtest.TokenAlice,
			IDs:   append([]string{alice}, newest...),
			Examples: []dashboardExample{
				{Label: "Newest codes", IDs: newest},
				{Label: "Errors", IDs: failing},
			},
		}
	}
}

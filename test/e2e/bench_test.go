package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/app"
	"authentik-graphql/upstream/upstreamtest"
)

// BenchmarkRequest measures one request through every layer but the network: the full query and a
// small one, answered from memory, with every log line written.
func BenchmarkRequest(b *testing.B) {
	for name, document := range map[string]string{
		"full":  file(b, "graph/testdata/every-field.graphql"),
		"small": `query($id: ID!) { authorizationCode(id: $id) { id isExpired expires scope } }`,
	} {
		h, body := hotHandler(b, document)
		b.Run("hot/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				askHot(b, h, body)
			}
		})
	}
}

// BenchmarkNew asks for a code that nobody has asked for, each time.
func BenchmarkNew(b *testing.B) {
	h, body := hotHandler(b, file(b, "graph/testdata/every-field.graphql"))
	before, after, _ := strings.Cut(string(body), `"17"`)
	n := 1_000_000
	b.ReportAllocs()
	for b.Loop() {
		n++
		askHot(b, h, []byte(before+strconv.Quote(strconv.Itoa(n))+after))
	}
}

// BenchmarkKept asks for one code by another request each time, so that no cached response is there.
func BenchmarkKept(b *testing.B) {
	h, body := hotHandler(b, file(b, "graph/testdata/every-field.graphql"))
	before, after, _ := strings.Cut(string(body), `"17"`)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		askHot(b, h, []byte(before+`"17","n":`+strconv.Itoa(n)+after))
	}
}

// hotHandler is the service with one code that is fresh for an hour, and a request for it.
func hotHandler(b *testing.B, document string, settings ...string) (h http.Handler, body []byte) {
	b.Helper()
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
	srv := httptest.NewServer(anyID(b, fake))
	b.Cleanup(srv.Close)
	s := openService(b, app.Options{Environ: append(settings, "AUTHENTIK_URL="+srv.URL, "CACHE_TTL=1h")})
	body, err := json.Marshal(map[string]any{"query": document, "variables": map[string]any{"id": "17"}})
	if err != nil {
		b.Fatal(err)
	}
	h = s.Handler()
	askHot(b, h, body)
	return h, body
}

// anyID answers as authentik does for code 17, whatever id it is asked for, and takes little time for it.
func anyID(b *testing.B, authentik http.Handler) http.Handler {
	b.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/v3/oauth2/authorization_codes/17/", nil)
	r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
	w := httptest.NewRecorder()
	authentik.ServeHTTP(w, r)
	before, after, _ := strings.Cut(w.Body.String(), `"pk":17,`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = io.WriteString(w, before+`"pk":`+path.Base(r.URL.Path)+","+after)
	})
}

func askHot(b *testing.B, h http.Handler, body []byte) {
	b.Helper()
	r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"errors"`) {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
}

// BenchmarkReplay is what a replayed response takes of the service itself, beside net/http.
func BenchmarkReplay(b *testing.B) {
	for _, level := range []string{"info", "warn"} {
		b.Run(level, func(b *testing.B) {
			h, body := hotHandler(b, file(b, "graph/testdata/every-field.graphql"), "LOG_LEVEL="+level)
			sent := bytes.NewReader(body)
			r := httptest.NewRequest(http.MethodPost, "/graphql", io.NopCloser(sent))
			r.ContentLength = int64(len(body))
			r.Header = http.Header{
				"Accept": {"application/json"}, "Authorization": {"Bearer " + upstreamtest.TokenAlice},
				"Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept-Encoding": {"identity"},
			}
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				sent.Reset(body)
				h.ServeHTTP(w, r)
				r.Body = io.NopCloser(sent)
			}
			if w.status != http.StatusOK || w.n == 0 {
				b.Fatal(w)
			}
		})
	}
}

// sink is a ResponseWriter that does nothing.
type sink struct {
	header http.Header
	status int
	n      int
}

func (w *sink) Header() http.Header         { return w.header }
func (w *sink) WriteHeader(status int)      { w.status = status }
func (w *sink) Write(b []byte) (int, error) { w.n = len(b); return len(b), nil }

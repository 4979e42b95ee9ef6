package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"authentik-graphql/internal/app"
	"authentik-graphql/upstream/upstreamtest"
)

// BenchmarkRequest measures a request through every layer but the network: the full query and a small one,
// answered from memory, with every log line.
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

// BenchmarkNew asks for a new code each time.
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

// BenchmarkKept asks for one code by another request each time, so that no response is cached.
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

// hotHandler returns a service with one code that is fresh for an hour, and the body of a request for it.
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

// anyID answers under any id as authentik does for code 17, but faster.
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
	askAs(b, h, upstreamtest.TokenAlice, body)
}

func askAs(b *testing.B, h http.Handler, token string, body []byte) {
	b.Helper()
	r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"errors"`) {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
}

// BenchmarkReplay measures a replayed response without net/http.
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
			w := &capture{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				w.body = w.body[:0]
				sent.Reset(body)
				h.ServeHTTP(w, r)
				r.Body = io.NopCloser(sent)
			}
			if w.status != http.StatusOK || len(w.body) == 0 {
				b.Fatal(w)
			}
		})
	}
}

// cpuTime returns the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkListPage compares the CPU of a row in a page of 100 with that of a single code: cold, with
// authentik's answer to decode, and hot, from memory. Elapsed time says less, as the rows of a page are
// resolved in parallel. The fake authentik has its answers ready, but runs in the same process.
func BenchmarkListPage(b *testing.B) {
	const rows = 100
	fake := upstreamtest.New(upstreamtest.Options{})
	for range rows {
		fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour), Scope: []string{"openid", "email"}})
	}
	ready := map[string][]byte{}
	for _, path := range []string{upstreamtest.Path + "17/", upstreamtest.Path + "?ordering=-pk&page=1&page_size=100"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
		r.Header.Set("Accept", "application/json")
		w := httptest.NewRecorder()
		fake.ServeHTTP(w, r)
		ready[path] = w.Body.Bytes()
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := ready[r.URL.RequestURI()]
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	single := file(b, "graph/testdata/every-field.graphql")
	_, row, _ := strings.Cut(single, "authorizationCode(id: $id)")
	page := "query EveryField { authorizationCodes(first: 100) { edges { cursor node " + strings.TrimSuffix(strings.TrimSpace(row), "}") + " } pageInfo { hasNextPage endCursor } totalCount } }"
	for _, temperature := range []struct{ name, ttl string }{{"cold", "CACHE_TTL=0"}, {"hot", "CACHE_TTL=1h"}} {
		h := openService(b, app.Options{Environ: []string{"AUTHENTIK_URL=" + srv.URL, temperature.ttl}}).Handler()
		var alone float64
		for _, bm := range []struct {
			name, document string
			rows           int
		}{{"single", single, 1}, {"page of 100", page, rows}} {
			body, err := json.Marshal(map[string]any{"query": bm.document, "variables": map[string]any{"id": "17"}})
			if err != nil {
				b.Fatal(err)
			}
			if bm.rows > 1 {
				body, _ = json.Marshal(map[string]any{"query": bm.document})
			}
			b.Run(temperature.name+"/"+bm.name, func(b *testing.B) {
				b.ReportAllocs()
				began := cpuTime(b)
				for b.Loop() {
					r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
					r.Header.Set("Content-Type", "application/json")
					r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if got := bytes.Count(w.Body.Bytes(), []byte(`"passwordChangeDate"`)); w.Code != http.StatusOK || got != bm.rows {
						b.Fatalf("%d, %d rows: %.500s", w.Code, got, w.Body)
					}
				}
				each := float64(cpuTime(b)-began) / float64(b.N) / float64(bm.rows)
				b.ReportMetric(each, "cpu-ns/row")
				if bm.rows == 1 {
					alone = each
				} else if alone > 0 {
					b.ReportMetric(each/alone, "of-a-single")
					if each > 1.5*alone {
						b.Errorf("a row costs %.2f times a single code", each/alone)
					}
				}
			})
		}
	}
}

// BenchmarkPageOfProviders compares the CPU of a page of 100 tokens with settings of their providers and without: cold,
// with the page and the providers to read, and warm, with all of them in memory but no response to replay. The owner
// may not view the providers.
func BenchmarkPageOfProviders(b *testing.B) {
	const page = `{ accessTokens(first: 100) { nodes { id isExpired expires scope user { username } provider { name assignedApplicationName %s } } } }`
	settings := map[string]string{"without": "", "with": "clientId redirectUris { url } accessTokenValidity"}
	for _, providers := range []int32{5, 8} {
		srv := httptest.NewServer(readyAnswers(pageOfTokens(providers)))
		b.Cleanup(srv.Close)
		for _, temperature := range []struct{ name, ttl string }{{"cold", "CACHE_TTL=0"}, {"warm", "CACHE_TTL=1h"}} {
			h := openService(b, app.Options{
				Environ: []string{"AUTHENTIK_URL=" + srv.URL, temperature.ttl, "CACHE_PROVIDER_TTL=1h"}, NoResponseCache: true,
			}).Handler()
			for who, token := range map[string]string{"viewer": upstreamtest.TokenRoot, "owner": upstreamtest.TokenAlice} {
				var without float64
				for _, name := range []string{"without", "with"} {
					body, _ := json.Marshal(map[string]string{"query": fmt.Sprintf(page, settings[name])})
					b.Run(fmt.Sprintf("%d providers/%s/%s/%s", providers, temperature.name, who, name), func(b *testing.B) {
						b.ReportAllocs()
						askAs(b, h, token, body)
						began := cpuTime(b)
						for b.Loop() {
							askAs(b, h, token, body)
						}
						each := float64(cpuTime(b)-began) / float64(b.N)
						b.ReportMetric(each, "cpu-ns/op")
						if name == "without" {
							without = each
						} else if without > 0 {
							b.ReportMetric(each/without, "of-without")
						}
					})
				}
			}
		}
	}
}

// pageOfTokens is an authentik with 100 tokens of so many providers.
func pageOfTokens(providers int32) http.Handler {
	fake := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	for pk := range providers {
		fake.AddProvider(upstreamtest.Provider{PK: pk + 1, RedirectURIs: []string{"https://one.example.com/callback", "https://two.example.com/callback"}})
	}
	for i := range int32(100) {
		fake.AddToken(upstreamtest.AccessTokens, upstreamtest.Token{
			Owner: upstreamtest.UserAlice, Provider: 1 + i%providers, Expires: time.Now().Add(time.Hour), Scope: []string{"openid", "email"},
		})
	}
	return fake
}

// readyAnswers repeats what a server has answered to a caller, so that it takes little CPU.
func readyAnswers(of http.Handler) http.Handler {
	var ready sync.Map
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Authorization") + r.URL.RequestURI()
		answer, ok := ready.Load(key)
		if !ok {
			got := httptest.NewRecorder()
			of.ServeHTTP(got, r)
			answer, _ = ready.LoadOrStore(key, got)
		}
		got := answer.(*httptest.ResponseRecorder)
		w.Header().Set("Content-Type", got.Header().Get("Content-Type"))
		w.WriteHeader(got.Code)
		_, _ = w.Write(got.Body.Bytes())
	})
}

// capture is a response in memory.
type capture struct {
	header http.Header
	status int
	body   []byte
}

func (c *capture) Header() http.Header { return c.header }

func (c *capture) WriteHeader(status int) { c.status = status }

func (c *capture) Write(b []byte) (int, error) { c.body = append(c.body, b...); return len(b), nil }

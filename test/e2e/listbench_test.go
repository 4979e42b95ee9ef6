//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"authentik-graphql/internal/app"
	"authentik-graphql/upstream/upstreamtest"
)

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkListPage measures the CPU that a full row takes in a page of 100, beside a full code by
// itself: cold, with authentik's answer decoded, mapped and encoded, and hot, from memory. Rows of a
// page are resolved in parallel, so the time that passes tells less than cpu-ns/row. What stands for
// authentik has its answers ready, but sends them in the same process.
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

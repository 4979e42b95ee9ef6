package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"authentik-graphql/graph"
	"authentik-graphql/upstream/upstreamtest"
)

// BenchmarkRequest measures one request through every layer but the network: the full query and a
// small one, answered from memory, with every log line written.
func BenchmarkRequest(b *testing.B) {
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
	srv := httptest.NewServer(fake)
	defer srv.Close()
	address, err := url.Parse(srv.URL)
	if err != nil {
		b.Fatal(err)
	}
	cfg, err := loadConfig([]string{"CACHE_TTL=1h"}, true)
	if err != nil {
		b.Fatal(err)
	}
	cfg.AuthentikURL = baseURL{address}
	s, err := newService(cfg, slog.New(slog.NewJSONHandler(discard{}, nil)), graph.PlaygroundOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.close(context.Background()) }()
	h := s.routes()
	for name, document := range map[string]string{
		"full":  must(b, "graph/testdata/every-field.graphql"),
		"small": `query($id: ID!) { authorizationCode(id: $id) { id isExpired expires scope } }`,
	} {
		body, err := json.Marshal(map[string]any{"query": document, "variables": map[string]any{"id": "17"}})
		if err != nil {
			b.Fatal(err)
		}
		b.Run("hot/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(string(body)))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"errors"`) {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

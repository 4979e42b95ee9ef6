package graph

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

// recordedGrant is a code as authentik sent it.
func recordedGrant(b *testing.B) upstream.Grant {
	rows, err := os.ReadFile("../upstream/testdata/rows/2026.2.2.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	first, _, _ := bytes.Cut(rows, []byte("\n"))
	grant, _, err := upstream.DecodeGrant(first, drawnNow)
	if err != nil {
		b.Fatal(err)
	}
	return *grant
}

// BenchmarkPlan compares plans with gqlgen, from the HTTP request to the bytes of the response.
func BenchmarkPlan(b *testing.B) {
	full, err := os.ReadFile("testdata/every-field.graphql")
	if err != nil {
		b.Fatal(err)
	}
	text := string(full)
	fields := text[strings.Index(text, "{\n    id"):strings.LastIndex(text, "}")]
	planned, plain := twoServers(b, &drawnSource{grant: recordedGrant(b), rows: 20}, DefaultLimits())
	for name, document := range map[string]string{
		"full":  strings.ReplaceAll(text, "$id: ID!", "$id: ID = 1"),
		"small": `query($id: ID!) { authorizationCode(id: $id) { id isExpired expires scope } }`,
		"page":  `{ authorizationCodes(first: 20) { nodes ` + fields + ` pageInfo { endCursor } } }`,
	} {
		for kind, h := range map[string]http.Handler{"plan": planned, "gqlgen": plain} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if w, _ := ask(b.Context(), h, document, map[string]any{"id": "17"}); w.Code != 200 {
						b.Fatal(w.Body)
					}
				}
			})
		}
	}
}

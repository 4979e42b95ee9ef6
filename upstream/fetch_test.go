package upstream_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

// TestFetch fetches a resource that is no grant: its fields, its dropped fields, a partial object within
// it, and what a 404 means.
func TestFetch(t *testing.T) {
	const application = `{"slug":"wiki","name":1,"provider_obj":{"pk":3,"name":"Wiki","component":"x"}}`
	for _, tt := range []struct {
		name, body string
		status     int
		cred       upstream.Credential
		kind       upstream.Kind // 0 for none
	}{
		{"found", application, 200, alice, 0},
		{"not found", `{"detail":"Not found."}`, 404, alice, upstream.NotFound},
		{"without its key", `{"name":"Wiki"}`, 200, alice, upstream.InvalidResponse},
		{"no object", `[]`, 200, alice, upstream.InvalidResponse},
		{"refused", `{"detail":"Token invalid/expired"}`, 403, alice, upstream.Unauthenticated},
		{"without a credential", application, 200, upstream.Credential{}, upstream.Unauthenticated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var paths []string
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				paths = append(paths, r.URL.Path)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			c := client(t, server.URL)
			got, err := upstream.Fetch(t.Context(), c, tt.cred, upstream.ApplicationAt("wiki"))
			if tt.kind != 0 {
				wantKind(t, err, tt.kind)
				if errors.Is(err, upstream.ErrNoApplication) != (tt.kind == upstream.NotFound) {
					t.Errorf("cause %v", errors.Unwrap(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			a := got.Value
			if a.Slug != "wiki" || a.Name != nil || a.Provider.PK != 3 || *a.Provider.Name != "Wiki" || a.Provider.ClientType != nil {
				t.Errorf("got %+v", *a)
			}
			if got.FetchedAt.IsZero() || !slices.Equal(paths, []string{"/api/v3/core/applications/wiki/"}) {
				t.Errorf("fetched at %v, asked %s", got.FetchedAt, strings.Join(paths, ", "))
			}
			if dropped := c.Stats().Dropped; dropped["application.name"] != 1 {
				t.Errorf("dropped %v", dropped)
			}
		})
	}
}

package upstream_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	_, srv := authentik(t, upstreamtest.Options{Release: upstreamtest.R2026_8})
	c := client(t, srv.URL)
	if got, err := c.Version(t.Context(), alice); err != nil || got.Value != "2026.8.5" {
		t.Errorf("got %q, %v", got.Value, err)
	}
	_, err := c.Version(t.Context(), upstream.NewCredential("t0k3n"))
	if e, ok := errors.AsType[*upstream.Error](err); !ok || e.Kind != upstream.Unauthenticated {
		t.Errorf("a stranger: %v", err)
	}
	for _, body := range []string{`{}`, `{"version_current":null}`, `{"version_current":""}`, `{"version_current":5}`, `[]`, `{`} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}))
		defer srv.Close()
		_, err := client(t, srv.URL).Version(t.Context(), alice)
		if e, ok := errors.AsType[*upstream.Error](err); !ok || e.Kind != upstream.InvalidResponse {
			t.Errorf("%s: %v", body, err)
		}
	}
}

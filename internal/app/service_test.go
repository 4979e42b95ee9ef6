package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// TestUpstreamConcurrency checks that a second call does not reach authentik while UPSTREAM_CONCURRENCY calls run.
func TestUpstreamConcurrency(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	srv := httptest.NewServer(up)
	t.Cleanup(func() { up.Close(); srv.Close() })
	arrived, release := make(chan struct{}), make(chan struct{})
	up.SetFault(17, upstreamtest.Fault{Name: "held", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		close(arrived)
		<-release
		next.ServeHTTP(w, r)
	}})
	p, err := load(Options{Environ: []string{"AUTHENTIK_URL=" + srv.URL, "UPSTREAM_CONCURRENCY=1"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	p.log = slog.New(slog.DiscardHandler)
	client := p.newClient(nil, nil)
	defer client.Close()
	alice := upstream.NewCredential(upstreamtest.TokenAlice)
	first := make(chan error)
	go func() { _, err := client.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, 17); first <- err }()
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = client.Retrieve(ctx, alice, upstream.AuthorizationCodes, 18)
	if e, ok := errors.AsType[*upstream.Error](err); !ok || e.Kind != upstream.Unavailable || up.Retrieves(18) != 0 {
		t.Errorf("the second call: %v, sent %d times", err, up.Retrieves(18))
	}
	close(release)
	if e, ok := errors.AsType[*upstream.Error](<-first); !ok || e.Kind != upstream.NotFound {
		t.Errorf("the first call: %v", e)
	}
}

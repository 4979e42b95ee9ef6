package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"authentik-graphql/internal/config"
	"authentik-graphql/upstream/upstreamtest"
)

// fakeAuthentik is the demo's authentik, which listens.
type fakeAuthentik struct {
	*upstreamtest.Demo
	addr net.Addr
	// failed is told once if it cannot listen any more.
	failed <-chan error
	// stop ends it, with all requests.
	stop func()
}

// startFakeAuthentik starts one that lives until stop is called.
func startFakeAuthentik(ctx context.Context, addr string) (*fakeAuthentik, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the fake authentik: %w", err)
	}
	demo := upstreamtest.NewDemo(upstreamtest.Options{})
	srv := &http.Server{Handler: demo, ReadHeaderTimeout: 5 * time.Second}
	failed, ended := make(chan error, 1), make(chan struct{}, 2)
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
		ended <- struct{}{}
	}()
	life, endLife := context.WithCancel(context.WithoutCancel(ctx))
	go func() { demo.Run(life); ended <- struct{}{} }()
	return &fakeAuthentik{Demo: demo, addr: ln.Addr(), failed: failed, stop: func() {
		endLife()
		_ = srv.Close()
		<-ended
		<-ended
	}}, nil
}

// runFakeAuthentik serves nothing but a fake authentik until ctx ends.
func runFakeAuthentik(ctx context.Context, addr config.Addr, stdout io.Writer) error {
	fake, err := startFakeAuthentik(ctx, string(addr))
	if err != nil {
		return err
	}
	defer fake.stop()
	_, _ = fmt.Fprintf(stdout, `A fake authentik listens. Start the service beside it with:

  AUTHENTIK_URL=http://%s

Tokens: %s
`, reachable(fake.addr.String()), demoTokens())
	select {
	case err := <-fake.failed:
		return fmt.Errorf("the fake authentik: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// demoTokens says which tokens the demo's authentik knows.
func demoTokens() string {
	return fmt.Sprintf("%s, %s (see their own), %s (sees everybody's)", upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenRoot)
}

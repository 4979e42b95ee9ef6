package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// Authentik is a fake authentik that listens.
type Authentik struct {
	addr   net.Addr
	demo   *upstreamtest.Demo
	failed chan error
	stop   func()
}

// StartAuthentik starts a fake authentik that lives until Stop is called.
func StartAuthentik(ctx context.Context, addr string) (*Authentik, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the fake authentik: %w", err)
	}
	a := &Authentik{addr: ln.Addr(), demo: upstreamtest.NewDemo(upstreamtest.Options{}), failed: make(chan error, 1)}
	srv := &http.Server{Handler: a.demo, ReadHeaderTimeout: 5 * time.Second}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { a.demo.Run(life) })
	running.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- err
		}
	})
	a.stop = func() {
		end()
		_ = srv.Close()
		running.Wait()
	}
	return a, nil
}

// Addr returns the address it listens on.
func (a *Authentik) Addr() string { return a.addr.String() }

// Stop ends it, with all requests.
func (a *Authentik) Stop() { a.stop() }

// Wait returns when ctx ends, or with an error when it cannot listen any more.
func (a *Authentik) Wait(ctx context.Context) error {
	select {
	case err := <-a.failed:
		return fmt.Errorf("the fake authentik: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// Tokens describes the tokens that the fake authentik accepts.
func Tokens() string {
	return fmt.Sprintf("%s, %s (see their own), %s (sees everybody's, and may view providers)", upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenRoot)
}

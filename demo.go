package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"

	"authentik-graphql/internal/config"
	"authentik-graphql/internal/demo"
)

// runDemo serves, or checks, the service against a fake authentik.
func runDemo(ctx context.Context, cfg config.Config, in inputs, check bool, environ []string, log *slog.Logger, stdout io.Writer) error {
	d, err := demo.Start(ctx)
	if err != nil {
		return err
	}
	defer d.Stop()
	cfg.AuthentikURL = config.BaseURL{URL: d.AuthentikURL}
	if check {
		return runCheck(ctx, cfg, in, stdout)
	}
	banner := demo.Banner{ServiceMode: in.callers != nil, TrustedOnly: cfg.TrustedOnly}
	switch {
	case !cfg.Playground:
		banner.PlaygroundOff = "PLAYGROUND=false"
	case cfg.TrustedOnly:
		banner.PlaygroundOff = "TRUSTED_DOCUMENTS_ONLY"
	}
	o := options{acceptedTokens: d.AcceptedTokens, playground: d.Playground, dashboard: d.Dashboard}
	return serve(ctx, cfg, in, o, environ, log, func(addr net.Addr) {
		banner.BaseURL = "http://" + reachable(addr.String())
		d.Announce(stdout, banner)
	})
}

// runFakeAuthentik serves nothing but a fake authentik until ctx ends.
func runFakeAuthentik(ctx context.Context, addr config.Addr, stdout io.Writer) error {
	fake, err := demo.StartAuthentik(ctx, string(addr))
	if err != nil {
		return err
	}
	defer fake.Stop()
	_, _ = fmt.Fprintf(stdout, `A fake authentik listens. Start the service beside it with:

  AUTHENTIK_URL=http://%s

Tokens: %s
`, reachable(fake.Addr()), demo.Tokens())
	return fake.Wait(ctx)
}

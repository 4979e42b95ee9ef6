package app

import (
	"context"
	"fmt"
	"io"

	"authentik-graphql/internal/demo"
)

// announceDemo prints what there is to try on a service that listens on addr.
func (p *program) announceDemo(addr string) {
	banner := demo.Banner{
		BaseURL:     "http://" + reachable(addr),
		ServiceMode: p.in.callers != nil,
		TrustedOnly: p.cfg.TrustedOnly,
	}
	switch {
	case !p.cfg.Playground:
		banner.PlaygroundOff = "PLAYGROUND=false"
	case p.cfg.TrustedOnly:
		banner.PlaygroundOff = "TRUSTED_DOCUMENTS_ONLY"
	}
	p.demo.Announce(p.Stdout, banner)
}

// serveFakeAuthentik serves nothing but a fake authentik until ctx ends.
func serveFakeAuthentik(ctx context.Context, addr string, stdout io.Writer) error {
	fake, err := demo.StartAuthentik(ctx, addr)
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

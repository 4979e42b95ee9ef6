package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"

	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/config"
	"authentik-graphql/upstream/upstreamtest"
)

// runDemo serves against a fake authentik that listens on a loopback port of the system's choice.
func runDemo(ctx context.Context, cfg config.Config, in inputs, check bool, environ []string, log *slog.Logger, stdout io.Writer) error {
	fake, err := startFakeAuthentik(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer fake.stop()

	cfg.AuthentikURL = config.BaseURL{URL: &url.URL{Scheme: "http", Host: fake.addr.String()}}
	if check {
		return runCheck(ctx, cfg, in, stdout)
	}
	o := options{
		// Some of the demo's codes answer as if the token were bad.
		acceptedTokens: []string{upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenRoot},
		addRoutes:      dashboard(demoDashboard).addTo,
	}
	o.playground = graph.PlaygroundOptions{
		ExampleID:     strconv.Itoa(int(upstreamtest.DemoAlice)),
		RevokeID:      strconv.Itoa(int(upstreamtest.DemoHistory)), // alice's too
		Authorization: "Bearer " + upstreamtest.TokenAlice,
		ErrorIDs:      demoErrors(),
	}
	return serve(ctx, cfg, in, o, environ, log, func(addr net.Addr) { announceDemo(stdout, cfg, addr, fake.Newest()) })
}

// demoErrors lists the demo's ids that answer with an error, in order.
func demoErrors() []graph.PlaygroundError {
	ids := slices.Collect(maps.Keys(upstreamtest.DemoFaults()))
	ids = append(ids, upstreamtest.DemoUnknown)
	slices.Sort(ids)
	list := make([]graph.PlaygroundError, len(ids))
	for i, id := range ids {
		list[i] = graph.PlaygroundError{Label: demoCodes[id], ID: strconv.Itoa(int(id))}
	}
	return list
}

// demoCodes are the error codes that the demo's fixed ids show.
var demoCodes = map[int32]string{
	200: apierror.InvalidResponse,
	400: apierror.BadUserInput,
	401: apierror.Unauthenticated,
	403: apierror.Forbidden,
	404: apierror.NotFound,
	429: apierror.RateLimited,
	500: apierror.UpstreamError,
	503: apierror.UpstreamUnavailable,
	504: apierror.GatewayTimeout,
}

// announceDemo says what there is to try. newest is the id of the code that was made last.
func announceDemo(w io.Writer, cfg config.Config, addr net.Addr, newest int32) {
	base := "http://" + reachable(addr.String())
	page := base + "/"
	switch {
	case !cfg.Playground:
		page = "turned off by PLAYGROUND=false"
	case cfg.TrustedOnly:
		page = "turned off by TRUSTED_DOCUMENTS_ONLY"
	}
	tokens := demoTokens()
	if cfg.CallersFile != "" {
		tokens = "those of CALLERS_FILE"
	}
	_, _ = fmt.Fprintf(w, `The demo is ready, with a fake authentik inside.

  Playground   %s
  Dashboard    %s/dashboard
  GraphQL      %s/graphql
  Tokens       %s
  Grants       authorization codes, access tokens and refresh tokens: by id, in lists, and to be revoked
  Ids          %d is alice's, %d is bob's, of each kind; codes from
               %d and up come and go: a new one every few seconds
`, page, base, base, tokens, upstreamtest.DemoAlice, upstreamtest.DemoBob, newest)
	for _, e := range demoErrors() {
		_, _ = fmt.Fprintf(w, "               %s answers %s\n", e.ID, e.Label)
	}
	if cfg.CallersFile != "" || cfg.TrustedOnly { // the command would be refused
		_, _ = fmt.Fprintln(w)
		return
	}
	_, _ = fmt.Fprintf(w, "\nTry:\n\n  %s\n\n", demoCurl(base))
}

// demoCurl is one line that works when pasted into a shell.
func demoCurl(base string) string {
	return fmt.Sprintf(`curl -s %s/graphql -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"query":"{ authorizationCode(id: %d) { id isExpired expires scope fetchedAt user { username groups { name } } provider { name clientId } } }"}'`,
		base, upstreamtest.TokenAlice, upstreamtest.DemoAlice)
}

package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"authentik-graphql/graph/playground"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/upstream/upstreamtest"
)

// Demo is a running demonstration, and what the service needs to be part of it.
type Demo struct {
	authentik *Authentik
	// AuthentikURL is the fake authentik's base URL.
	AuthentikURL *url.URL
	// AcceptedTokens are the tokens that it accepts. Some of its codes answer as if the token were bad.
	AcceptedTokens []string
	// Playground has the examples of the Playground.
	Playground playground.Options
	// Dashboard serves /dashboard and what is below it.
	Dashboard http.Handler
}

// Start starts the demonstration on a loopback port of the system's choice.
func Start(ctx context.Context) (*Demo, error) {
	authentik, err := StartAuthentik(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Demo{
		authentik:      authentik,
		AuthentikURL:   &url.URL{Scheme: "http", Host: authentik.Addr()},
		AcceptedTokens: []string{upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenRoot},
		Playground: playground.Options{
			ExampleID:     strconv.Itoa(int(upstreamtest.DemoAlice)),
			RevokeID:      strconv.Itoa(int(upstreamtest.DemoHistory)), // alice's as well
			Authorization: "Bearer " + upstreamtest.TokenAlice,
			Errors:        Errors(),
		},
		// A dashboard is for those who see everybody's grants, so the administrator's token comes first.
		Dashboard: Dashboard([]Caller{
			{Label: "Everybody’s (root)", Token: upstreamtest.TokenRoot},
			{Label: "Alice’s", Token: upstreamtest.TokenAlice},
			{Label: "Bob’s", Token: upstreamtest.TokenBob},
		}),
	}, nil
}

// Stop ends the demonstration.
func (d *Demo) Stop() { d.authentik.Stop() }

// errorCodes are the error codes that the fixed ids of the fake authentik lead to.
var errorCodes = map[int32]string{
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

// Errors lists the ids that answer with an error, in order.
func Errors() []playground.ErrorExample {
	ids := slices.Collect(maps.Keys(upstreamtest.DemoFaults()))
	ids = append(ids, upstreamtest.DemoUnknown)
	slices.Sort(ids)
	list := make([]playground.ErrorExample, len(ids))
	for i, id := range ids {
		list[i] = playground.ErrorExample{Code: errorCodes[id], ID: strconv.Itoa(int(id))}
	}
	return list
}

// Banner is what the demonstration announces beside itself.
type Banner struct {
	// BaseURL is the service's.
	BaseURL string
	// PlaygroundOff names the setting that turns the Playground off; empty if it is on.
	PlaygroundOff string
	// ServiceMode and TrustedOnly refuse the example command.
	ServiceMode, TrustedOnly bool
}

// Announce writes what there is to try.
func (d *Demo) Announce(w io.Writer, b Banner) {
	page, tokens := b.BaseURL+"/", Tokens()
	if b.PlaygroundOff != "" {
		page = "turned off by " + b.PlaygroundOff
	}
	if b.ServiceMode {
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
`, page, b.BaseURL, b.BaseURL, tokens, upstreamtest.DemoAlice, upstreamtest.DemoBob, d.authentik.demo.Newest())
	for _, e := range Errors() {
		_, _ = fmt.Fprintf(w, "               %s answers %s\n", e.ID, e.Code)
	}
	if !b.ServiceMode && !b.TrustedOnly {
		_, _ = fmt.Fprintf(w, "\nTry:\n\n  %s\n", Curl(b.BaseURL))
	}
	_, _ = fmt.Fprintln(w)
}

// Curl returns an example request to the service as one line for a shell.
func Curl(baseURL string) string {
	return fmt.Sprintf(`curl -s %s/graphql -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"query":"{ authorizationCode(id: %d) { id isExpired expires scope fetchedAt user { username groups { name } } provider { name clientId } } }"}'`,
		baseURL, upstreamtest.TokenAlice, upstreamtest.DemoAlice)
}

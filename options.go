package main

import (
	"net/http"
	"time"

	"authentik-graphql/graph/playground"
)

// options are what the demo and tests choose beside the settings.
type options struct {
	// now is the clock by which grants, caches and rates are judged; nil is time.Now.
	now func() time.Time
	// noResponses keeps no cached responses.
	noResponses bool
	// acceptedTokens are tokens that authentik is known to accept.
	acceptedTokens []string
	playground     playground.Options
	dashboard      http.Handler // nil for none
}

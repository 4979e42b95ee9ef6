package graph

import doclimits "authentik-graphql/graph/document"

// Limits are those of [doclimits.Limits].
type Limits = doclimits.Limits

// The limits of a request's head, which are no settings. Package net/http refuses what is larger than
// both together, without an error of ours.
const (
	// MaxURL bounds the bytes of a request's target.
	MaxURL = 8 << 10
	// MaxHeaders bounds the bytes of a request's header lines.
	MaxHeaders = 16 << 10
)

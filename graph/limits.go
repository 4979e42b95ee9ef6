package graph

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/gqlerror"

	doclimits "authentik-graphql/graph/document"
)

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

// over is the error of a request that exceeds a limit. what says which property of it does, as in
// "The document has more tokens than MAX_TOKENS allows, which is 3000."
func over[N ~int](setting string, limit N, what string) *Error {
	return &Error{
		Code:    CodeLimitExceeded,
		Message: fmt.Sprintf("%s than %s allows, which is %d.", what, setting, limit),
		Limit:   setting,
	}
}

// listed makes an error one that GraphQL's machinery takes.
func listed(err *Error) gqlerror.List {
	return gqlerror.List{{Err: err, Message: err.Message}}
}

package telemetry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"authentik-graphql/internal/apierror"
)

// Request describes a request to the GraphQL endpoint that has ended.
type Request struct {
	Status        int    // of the response; 0 if there is none
	OperationType string // query, mutation, or empty if the request names no operation
	ErrorCodes    []string
	Replayed      bool // by the response cache
	Duration      time.Duration
}

// noOperation is the operation type of a request that names none.
const noOperation = "none"

// outcome is what a request came to, from good to bad: of several errors the worst counts.
type outcome int

const (
	// succeeded: a response without errors.
	succeeded outcome = iota
	// erred: a response with errors about what was asked for, such as a grant that does not exist.
	erred
	// refused: no valid GraphQL request, or one over a limit. The client has to change it.
	refused
	// failed: a fault of this service or of authentik.
	failed
	// canceled: the client did not wait for the response.
	canceled
)

var outcomes = [...]string{succeeded: "ok", erred: "error", refused: "refused", failed: "failed", canceled: "canceled"}

// codeOutcomes has every value of extensions.code, with the outcome of a request that has it.
var codeOutcomes = map[string]outcome{
	apierror.Unauthenticated: erred, apierror.Forbidden: erred, apierror.NotFound: erred, apierror.BadUserInput: erred,
	apierror.RateLimited: erred, apierror.IntrospectionDisabled: erred, apierror.FederationDisabled: erred,

	"GRAPHQL_PARSE_FAILED": refused, "GRAPHQL_VALIDATION_FAILED": refused, apierror.LimitExceeded: refused,
	apierror.PersistedQueryNotFound: refused, apierror.DocumentNotTrusted: refused, apierror.BadRequest: refused,
	apierror.BatchingNotSupported: refused, apierror.PayloadTooLarge: refused, apierror.URITooLong: refused,
	apierror.HeadersTooLarge: refused, apierror.RequestTimeout: refused, apierror.NotAcceptable: refused,
	apierror.UnsupportedMediaType: refused, apierror.MethodNotAllowed: refused,

	apierror.UpstreamError: failed, apierror.UpstreamUnavailable: failed, apierror.GatewayTimeout: failed,
	apierror.InvalidResponse: failed, apierror.Internal: failed, apierror.TooManyConnections: failed, apierror.Overloaded: failed,
}

// otherCode counts a code that codeOutcomes lacks, which would be a mistake.
const otherCode = "other"

// outcome goes by the codes, because the status of an invalid document depends on the media type. But only
// the status distinguishes this service's own FORBIDDEN and RATE_LIMITED from authentik's. ctx is the
// request's: it is canceled if the client left.
func (r Request) outcome(ctx context.Context) outcome {
	worst := succeeded
	for _, code := range r.ErrorCodes {
		o, known := codeOutcomes[code]
		if !known {
			o = failed
		}
		worst = max(worst, o)
	}
	switch {
	case r.Status == 0, worst == failed && errors.Is(ctx.Err(), context.Canceled): // not if its deadline passed
		return canceled
	case r.Status > http.StatusBadRequest:
		return max(worst, refused)
	}
	return worst
}

// RequestEnded counts a request. ctx is the request's.
func (m *Metrics) RequestEnded(ctx context.Context, r Request) {
	operation := r.OperationType
	if operation != "query" && operation != "mutation" {
		operation = noOperation
	}
	m.durations.WithLabelValues(operation).Observe(r.Duration.Seconds())
	m.requests.WithLabelValues(operation, outcomes[r.outcome(ctx)]).Inc()
	for _, code := range r.ErrorCodes {
		if _, known := codeOutcomes[code]; !known {
			code = otherCode
		}
		m.errors.WithLabelValues(code).Inc()
	}
}

// ConnectionRefused counts a request that was refused unread, because its connection is over the limit.
func (m *Metrics) ConnectionRefused() {
	m.requests.WithLabelValues(noOperation, outcomes[failed]).Inc()
	m.errors.WithLabelValues(apierror.TooManyConnections).Inc()
}

// CleanMethod returns a request's method, or "other" for one that HTTP does not define: a client's own words
// belong in no log line and no span.
func CleanMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

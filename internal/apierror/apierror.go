// Package apierror has the errors that clients see: their codes, and a type that carries a code with a
// message fit for a client and a cause for the log. Whatever is not of this type, or authentik's
// (package upstream), reaches a client as INTERNAL_SERVER_ERROR with a constant text.
package apierror

import (
	"fmt"
	"net/http"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// The values of extensions.code. Those of GraphQL itself are GRAPHQL_PARSE_FAILED and
// GRAPHQL_VALIDATION_FAILED.
const (
	Unauthenticated       = "UNAUTHENTICATED"
	Forbidden             = "FORBIDDEN"
	NotFound              = "NOT_FOUND"
	BadUserInput          = "BAD_USER_INPUT"
	RateLimited           = "RATE_LIMITED"
	UpstreamError         = "UPSTREAM_ERROR"
	UpstreamUnavailable   = "UPSTREAM_UNAVAILABLE"
	GatewayTimeout        = "GATEWAY_TIMEOUT"
	InvalidResponse       = "UPSTREAM_INVALID_RESPONSE"
	Internal              = "INTERNAL_SERVER_ERROR"
	IntrospectionDisabled = "INTROSPECTION_DISABLED"
	LimitExceeded         = "LIMIT_EXCEEDED"
	// Of persisted queries (Apollo's protocol), trusted documents and federation.
	PersistedQueryNotFound = "PERSISTED_QUERY_NOT_FOUND"
	DocumentNotTrusted     = "DOCUMENT_NOT_TRUSTED"
	FederationDisabled     = "FEDERATION_DISABLED"
	// Of a request that is not well-formed GraphQL over HTTP.
	BadRequest           = "BAD_REQUEST"
	BatchingNotSupported = "BATCHING_NOT_SUPPORTED"
	PayloadTooLarge      = "PAYLOAD_TOO_LARGE"
	URITooLong           = "URI_TOO_LONG"
	HeadersTooLarge      = "HEADERS_TOO_LARGE"
	TooManyConnections   = "TOO_MANY_CONNECTIONS"
	Overloaded           = "OVERLOADED"
	RequestTimeout       = "REQUEST_TIMEOUT"
	NotAcceptable        = "NOT_ACCEPTABLE"
	UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE"
	MethodNotAllowed     = "METHOD_NOT_ALLOWED"
)

// statuses are the HTTP statuses of requests that are refused before they are executed as GraphQL.
var statuses = map[string]int{
	PersistedQueryNotFound: http.StatusOK, // that is the protocol
	BadRequest:             http.StatusBadRequest,
	LimitExceeded:          http.StatusBadRequest,
	BatchingNotSupported:   http.StatusBadRequest,
	Forbidden:              http.StatusForbidden,
	MethodNotAllowed:       http.StatusMethodNotAllowed,
	NotAcceptable:          http.StatusNotAcceptable,
	RequestTimeout:         http.StatusRequestTimeout,
	PayloadTooLarge:        http.StatusRequestEntityTooLarge,
	URITooLong:             http.StatusRequestURITooLong,
	UnsupportedMediaType:   http.StatusUnsupportedMediaType,
	RateLimited:            http.StatusTooManyRequests,
	HeadersTooLarge:        http.StatusRequestHeaderFieldsTooLarge,
	Overloaded:             http.StatusServiceUnavailable,
	TooManyConnections:     http.StatusServiceUnavailable,
}

// Error is an error that is made for a client.
type Error struct {
	// Code is one of the constants above.
	Code string
	// Message is shown to the client as it is.
	Message string
	// Limit names the limit or setting that the request exceeds, if it exceeds one.
	Limit string
	// RetryAfter is how long the client should wait; 0 is unknown.
	RetryAfter time.Duration
	// Err is the cause, for the log alone.
	Err error
}

// New makes an error without a cause.
func New(code, message string) *Error { return &Error{Code: code, Message: message} }

// Error gives the text for the log.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + " (" + e.Err.Error() + ")"
	}
	return e.Message
}

// Status is the HTTP status of a request that this error refuses before it is executed as GraphQL.
func (e *Error) Status() int {
	if status, ok := statuses[e.Code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// List wraps the error for the functions of gqlgen that take a list.
func (e *Error) List() gqlerror.List { return gqlerror.List{{Err: e, Message: e.Message}} }

// OverAs is the error of a limit whose excess has a code of its own.
func OverAs[N ~int](code, limit string, most N, what string) *Error {
	e := Over(limit, most, what)
	e.Code = code
	return e
}

// Over is the error of a request that exceeds a limit. what says which property of it does, as in
// "The document has more tokens than MAX_TOKENS allows, which is 3000."
func Over[N ~int](limit string, most N, what string) *Error {
	return &Error{
		Code:    LimitExceeded,
		Message: fmt.Sprintf("%s than %s allows, which is %d.", what, limit, most),
		Limit:   limit,
	}
}

package upstream

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// Kind is what went wrong, from the caller's point of view.
type Kind int

// The kinds of [Error].
const (
	// Internal is a fault of this service.
	Internal Kind = iota
	// Unauthenticated: there is no credential, or authentik rejects it.
	Unauthenticated
	// Forbidden: authentik knows the caller and refuses.
	Forbidden
	// NotFound: authentik shows no such row to this caller.
	NotFound
	// BadInput: an argument is wrong.
	BadInput
	// RateLimited: too many requests.
	RateLimited
	// Failed: authentik answered with a server error.
	Failed
	// Unavailable: authentik cannot be reached, or is starting.
	Unavailable
	// Timeout: no answer came in time.
	Timeout
	// InvalidResponse: the answer is not one that authentik gives to this request.
	InvalidResponse
	// Unlicensed: authentik is read-only, because its enterprise licence has expired.
	Unlicensed
)

var kindNames = [...]string{
	Internal: "internal", Unauthenticated: "unauthenticated", Forbidden: "forbidden",
	NotFound: "not found", BadInput: "bad input", RateLimited: "rate limited", Failed: "failed",
	Unavailable: "unavailable", Timeout: "timeout", InvalidResponse: "invalid response", Unlicensed: "unlicensed",
}

// Kinds lists all kinds, in order from 0.
func Kinds() []Kind {
	all := make([]Kind, len(kindNames))
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// String names the kind for logs.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "kind " + strconv.Itoa(int(k))
	}
	return kindNames[k]
}

// Error is the only error this package returns from a call.
type Error struct {
	Kind Kind
	// Status is authentik's HTTP status, 0 if there was no answer.
	Status int
	// RetryAfter is how long authentik asked to wait, or when a rejected call may be made; 0 is unknown.
	RetryAfter time.Duration
	// Fields are the names of the arguments that authentik rejected. They are plain identifiers.
	Fields []string
	// AuthentikID is authentik's own id of the request, by which its logs name it.
	AuthentikID string
	// Err is the cause, for the log alone: it may name addresses.
	Err error
}

// Error describes the failure for the log. It never holds a body, a token or a query.
func (e *Error) Error() string {
	s := "upstream: " + e.Kind.String()
	if e.Status != 0 {
		s += " (status " + strconv.Itoa(e.Status) + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// storedError is an Error without its cause, which is for the log of the process that met it.
type storedError struct {
	Kind        Kind     `json:"kind"`
	Status      int      `json:"status,omitzero"`
	RetryAfter  int64    `json:"retry_after,omitzero"` // in nanoseconds
	Fields      []string `json:"fields,omitempty"`
	AuthentikID string   `json:"authentik_id,omitempty"`
}

// EncodeError writes an error for storage, so that another process need not ask authentik for the same.
// Argument names are all that it contains of the request and the answer.
func EncodeError(e *Error) []byte {
	b, _ := json.Marshal(storedError{e.Kind, e.Status, int64(e.RetryAfter), e.Fields, e.AuthentikID}) // plain values
	return b
}

// RestoreError reverses EncodeError.
func RestoreError(b []byte) (*Error, error) {
	var s storedError
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("upstream: stored error: %w", err)
	}
	if s.Kind < 0 || int(s.Kind) >= len(kindNames) {
		return nil, fmt.Errorf("upstream: stored error of unknown kind %d", s.Kind)
	}
	return &Error{
		Kind: s.Kind, Status: s.Status, RetryAfter: time.Duration(s.RetryAfter), Fields: s.Fields, AuthentikID: s.AuthentikID,
	}, nil
}

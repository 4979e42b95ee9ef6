package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what went wrong, seen from the caller.
type Kind int

// The kinds of [Error].
const (
	// Internal is a fault of our own.
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
	// Unlicensed: authentik changes nothing, as its enterprise licence has expired.
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
	// RetryAfter is how long authentik asked to wait, or when a call that was turned away may be made;
	// 0 is unknown.
	RetryAfter time.Duration
	// Fields are the names of the arguments authentik rejected. They are plain identifiers.
	Fields []string
	// AuthentikID is authentik's own id of the request, for its logs.
	AuthentikID string
	// Err is the cause, for our log alone: it may name addresses.
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

// authenticationTexts are the details of a 403 that reject the credential rather than the act.
// The first is never translated; the second follows the server's language, of which the
// recorded ones are listed.
var authenticationTexts = []string{
	"Token invalid/expired",
	"Authentication credentials were not provided.",
	"Anmeldedaten fehlen.",
	"Informations d'authentification non fournies.",
	"Unsupported authentication type",
}

// answer is what classify looks at: an HTTP answer with as much of its body as was read.
type answer struct {
	status int
	header http.Header
	body   []byte
	sent   time.Time // when the request left
	at     time.Time // when the status line and headers were there
	free   func()    // ends the use of body, which then is another call's
}

var (
	errNotJSON    = errors.New("the answer is not JSON")
	errUnexpected = errors.New("the status is none that authentik gives here")
	errRedirect   = errors.New("authentik redirects: check AUTHENTIK_URL")
	errNotAPI     = errors.New("the path is not authentik's API: check AUTHENTIK_URL")
	errStarting   = errors.New("authentik is starting or cannot reach its core")
	errCut        = errors.New("the connection broke within the answer")
)

// classify turns an answer into an error, or nil for a 200 that is said to be JSON, which decoding
// tells.
func classify(a answer) *Error {
	wait := retryAfter(a.header)
	saysJSON, starting := saysJSON(a.header), starting(a, wait)
	if a.status == http.StatusOK && saysJSON && !starting {
		return nil
	}
	e := &Error{Status: a.status, RetryAfter: wait, AuthentikID: a.id()}
	switch {
	case starting:
		e.Kind, e.Err = Unavailable, errStarting
	case a.status == http.StatusOK:
		e.Kind, e.Err = InvalidResponse, errNotJSON
	case a.status == http.StatusBadRequest:
		e.Kind, e.Fields = BadInput, fieldNames(a.body)
	case a.status == http.StatusUnauthorized:
		e.Kind = Unauthenticated
	case a.status == http.StatusForbidden:
		e.Kind = Forbidden
		if slices.Contains(authenticationTexts, unquote(memberOf(a.body, "detail"))) {
			e.Kind = Unauthenticated
		}
	case a.status == http.StatusNotFound && saysJSON && isJSON(a.body):
		e.Kind = NotFound
	case a.status == http.StatusNotFound:
		e.Kind, e.Err = InvalidResponse, errNotAPI
	case a.status == http.StatusTooManyRequests:
		e.Kind = RateLimited
	case a.status >= 500:
		e.Kind = Failed
	case a.status >= 300 && a.status < 400:
		e.Kind, e.Err = InvalidResponse, errRedirect
	default:
		e.Kind, e.Err = InvalidResponse, errUnexpected
	}
	return e
}

// starting recognises that authentik's router is up and its core is not, in every form the
// releases give it: 502 as text or as JSON without a JSON type, 503 with Retry-After as JSON,
// text or page, and the 200 of 2025.10.0.
func starting(a answer, wait time.Duration) bool {
	switch a.status {
	case http.StatusOK:
		return bytes.Contains(a.body, []byte("authentik starting")) && // which hardly any body does
			unquote(memberOf(a.body, "error")) == "authentik starting" && memberOf(a.body, "pk") == ""
	case http.StatusBadGateway:
		return bytes.Contains(a.body, []byte("failed to connect to authentik backend"))
	case http.StatusServiceUnavailable:
		return wait > 0 || bytes.Contains(a.body, []byte("authentik starting"))
	}
	return false
}

const mimeJSON = "application/json"

// saysJSON compares the media type only: the charset comes and goes with the release.
func saysJSON(h http.Header) bool {
	said := h.Get("Content-Type")
	if said == mimeJSON { // which needs no parsing
		return true
	}
	mediaType, _, err := mime.ParseMediaType(said)
	return err == nil && mediaType == mimeJSON
}

// retryAfter reads the header's seconds form, the only one authentik and its router use, and caps
// it at an hour. Absent or unreadable is 0.
func retryAfter(h http.Header) time.Duration {
	said := h.Get("Retry-After")
	if said == "" {
		return 0
	}
	s, err := strconv.Atoi(said)
	if err != nil || s < 0 {
		return 0
	}
	return time.Duration(min(s, 3600)) * time.Second
}

// maxFieldNames bounds how many argument names of a 400 are passed on.
const maxFieldNames = 8

// fieldNames returns the keys of a 400's body that look like argument names. The texts beside
// them are dropped: they repeat what was sent.
func fieldNames(body []byte) (names []string) {
	var r reader
	err := r.read(string(body), func() {
		r.object(func(name string) {
			isList := r.peek() == '['
			r.next()
			if isList && isIdentifier(name) && name != "non_field_errors" && len(names) < maxFieldNames {
				names = append(names, strings.Clone(name)) // a part of the body would keep all of it
			}
		})
	})
	if err != nil {
		return nil
	}
	return names
}

// memberOf returns the first member of that name in a body that is an object, "" if there is none.
// What follows it may be cut off.
func memberOf(body []byte, name string) (value string) {
	var r reader
	_ = r.read(string(body), func() {
		r.object(func(n string) {
			if v := r.next(); n == name && value == "" {
				value = v
			}
		})
	})
	return value
}

func isIdentifier(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// id is authentik's own id of the request.
func (a answer) id() string { return cleanID(a.header.Get("X-Authentik-Id")) }

// cleanID keeps authentik's request id only if it is harmless in a log line.
func cleanID(s string) string {
	if len(s) > 64 || strings.Trim(s, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return s
}

// transportError classifies a call that brought no answer.
func transportError(err error) *Error {
	e := &Error{Kind: Unavailable, Err: fmt.Errorf("call authentik: %w", err)}
	if isTimeout(err) {
		e.Kind = Timeout
	}
	return e
}

// bodyError classifies an answer whose body was needed and could not be read to its end.
func bodyError(err error, a answer) *Error {
	e := &Error{
		Kind:        InvalidResponse,
		Status:      a.status,
		AuthentikID: a.id(),
		Err:         fmt.Errorf("read authentik's answer: %w", err),
	}
	switch {
	case isTimeout(err):
		e.Kind = Timeout
	case !errors.Is(err, errTooLarge):
		e.Err = fmt.Errorf("%w: %w", errCut, err)
	}
	return e
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

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

// authenticationTexts are the details of a 403 that rejects the credential rather than the request. The
// first is never translated. The second is in the server's language; the recorded ones are listed.
var authenticationTexts = []string{
	"Token invalid/expired",
	"Authentication credentials were not provided.",
	"Anmeldedaten fehlen.",
	"Informations d'authentification non fournies.",
	"Unsupported authentication type",
}

// answer is an HTTP answer with as much of its body as was read.
type answer struct {
	status int
	header http.Header
	body   []byte
	sent   time.Time // when the request left
	at     time.Time // when the status line and headers were there
	free   func()    // ends the use of body, which another call may then have
}

var (
	errNotJSON    = errors.New("the answer is not JSON")
	errUnexpected = errors.New("authentik does not give this status here")
	errRedirect   = errors.New("authentik redirects: check AUTHENTIK_URL")
	errNotAPI     = errors.New("the path is not authentik's API: check AUTHENTIK_URL")
	errStarting   = errors.New("authentik is starting or cannot reach its core")
	errCut        = errors.New("the connection broke within the answer")
)

// classify turns an answer into an error, or nil for a 200 whose type is JSON. Decoding checks the body.
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

// starting reports whether authentik's router is up and its core is not. Releases say so with a 502 as text
// or as JSON without a JSON type, a 503 with Retry-After as JSON, text or page, or the 200 of 2025.10.0.
func starting(a answer, wait time.Duration) bool {
	switch a.status {
	case http.StatusOK:
		return bytes.Contains(a.body, []byte("authentik starting")) && // which hardly any body does
			unquote(memberOf(a.body, "error")) == "authentik starting" && memberOf(a.body, "pk") == nil
	case http.StatusBadGateway:
		return bytes.Contains(a.body, []byte("failed to connect to authentik backend"))
	case http.StatusServiceUnavailable:
		return wait > 0 || bytes.Contains(a.body, []byte("authentik starting"))
	}
	return false
}

const mimeJSON = "application/json"

// saysJSON compares the media type only, because only some releases send a charset.
func saysJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == mimeJSON
}

// retryAfter reads the header's form in seconds, the only one that authentik and its router use, and caps it
// at an hour. It is 0 if the header is absent or unreadable.
func retryAfter(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return time.Duration(min(s, 3600)) * time.Second
}

// maxFieldNames bounds how many argument names of a 400 are passed on.
const maxFieldNames = 8

// fieldNames returns the names in a 400's body that look like arguments. The texts with them are dropped,
// because they repeat what was sent.
func fieldNames(body []byte) (names []string) {
	if !isJSON(body) {
		return nil
	}
	for name, value := range members(body) {
		isList := value.Kind() == '['
		if isList && isIdentifier(name) && name != "non_field_errors" && len(names) < maxFieldNames {
			names = append(names, name)
		}
	}
	return names
}

func isIdentifier(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// id is authentik's own id of the request, if it is harmless in a log line.
func (a answer) id() string {
	id := a.header.Get("X-Authentik-Id")
	if len(id) > 64 || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return id
}

// transportError classifies a call without an answer.
func transportError(err error) *Error {
	e := &Error{Kind: Unavailable, Err: fmt.Errorf("call authentik: %w", withRemedy(err))}
	if isTimeout(err) {
		e.Kind = Timeout
	}
	return e
}

// bodyError classifies an answer whose body is needed and could not be read to its end.
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

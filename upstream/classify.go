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

// foreign is the cause of an answer that authentik's API does not give. It says what to look at.
type foreign string

func (f foreign) Error() string { return string(f) }

const (
	errNotJSON      foreign = "the answer is not JSON: check AUTHENTIK_URL and what is in front of authentik"
	errUnexpected   foreign = "authentik does not give this status here: check what is in front of it"
	errRedirect     foreign = "authentik redirects: check AUTHENTIK_URL"
	errNotAPI       foreign = "the path is not authentik's API: check AUTHENTIK_URL"
	errBadRequest   foreign = "not authentik's 400: check the scheme, host and port of AUTHENTIK_URL, and which hosts a proxy accepts"
	errUnauthorized foreign = "not authentik's 401: a proxy in front of authentik asks for credentials of its own"
	errForbidden    foreign = "not authentik's 403: check the rules of a proxy or firewall in front of authentik"
	errCoding       foreign = "the Content-Encoding is not gzip or deflate, or the body is not of it: check the compression of a proxy in front of authentik"
)

var (
	errStarting = errors.New("authentik is starting or cannot reach its core")
	errGaveUp   = errors.New("the server gave up waiting")
	errCut      = errors.New("the connection broke within the answer")
)

// classify turns an answer into an error, or nil for a 200 whose type is JSON. Decoding checks the body.
func classify(a answer) *Error {
	saysJSON, starting := saysJSON(a.header), starting(a)
	if a.status == http.StatusOK && saysJSON && !starting {
		return nil
	}
	e := &Error{Status: a.status, RetryAfter: a.retryAfter(), AuthentikID: a.id()}
	switch {
	case starting:
		e.Kind, e.Err = Unavailable, errStarting
	case a.status == http.StatusOK:
		e.Kind, e.Err = InvalidResponse, errNotJSON
	case a.status == http.StatusBadRequest:
		e.Kind, e.Fields, e.Err = badRequest(a.body, saysJSON)
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		e.Kind, e.Err = refusal(a, saysJSON)
	case a.status == http.StatusNotFound && saysJSON && isJSON(a.body):
		e.Kind = NotFound
	case a.status == http.StatusNotFound:
		e.Kind, e.Err = InvalidResponse, errNotAPI
	case a.status == http.StatusRequestTimeout:
		e.Kind, e.Err = Timeout, errGaveUp
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
func starting(a answer) bool {
	switch a.status {
	case http.StatusOK:
		return bytes.Contains(a.body, []byte("authentik starting")) && // which hardly any body does
			unquote(memberOf(a.body, "error")) == "authentik starting" && memberOf(a.body, "pk") == nil
	case http.StatusBadGateway:
		return bytes.Contains(a.body, []byte("failed to connect to authentik backend"))
	case http.StatusServiceUnavailable:
		return a.header.Get("Retry-After") != "" || bytes.Contains(a.body, []byte("authentik starting"))
	}
	return false
}

const mimeJSON = "application/json"

// saysJSON compares the media type only, because only some releases send a charset.
func saysJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == mimeJSON
}

// maxWait is the longest wait that is passed on.
const maxWait = time.Hour

// retryAfter reads the header's two forms (RFC 9110, section 10.2.3), in whole seconds up to maxWait. It is 0 if
// the header is absent or unreadable. A date counts from the answer's own Date, as one clock wrote both.
func (a answer) retryAfter() time.Duration {
	value := a.header.Get("Retry-After")
	if s, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(s, 0), int(maxWait/time.Second))) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		now = a.at
	}
	wait := min(max(until.Sub(now), 0), maxWait)
	return (wait + time.Second - 1).Truncate(time.Second)
}

// badRequest classifies a 400: a detail, lists of texts by field, or one list of texts (Django REST framework's
// ValidationError) is authentik's. Fields has the names that look like arguments. The texts are dropped, because
// they repeat what was sent.
func badRequest(body []byte, saysJSON bool) (kind Kind, fields []string, err error) {
	_, hasDetail := detail(body)
	fields, isLists := fieldNames(body)
	if saysJSON && isJSON(body) && (hasDetail || isLists || isTexts(body)) {
		return BadInput, fields, nil
	}
	return InvalidResponse, nil, errBadRequest
}

// refusal classifies a 401 or 403: only one that has a detail is authentik's.
func refusal(a answer, saysJSON bool) (Kind, error) {
	why, hasDetail := detail(a.body)
	switch own := saysJSON && hasDetail && isJSON(a.body); {
	case own && (a.status == http.StatusUnauthorized || slices.Contains(authenticationTexts, why)):
		return Unauthenticated, nil
	case own:
		return Forbidden, nil
	case a.status == http.StatusUnauthorized:
		return InvalidResponse, errUnauthorized
	}
	return InvalidResponse, errForbidden
}

// detail returns the text of authentik's errors.
func detail(body []byte) (string, bool) { return text[string](memberOf(body, "detail")) }

// maxFieldNames bounds how many argument names of a 400 are passed on.
const maxFieldNames = 8

// fieldNames returns the names in an object that look like arguments. isLists reports whether the object has
// lists of texts alone, beside a code.
func fieldNames(body []byte) (names []string, isLists bool) {
	for name, value := range members(body) {
		switch {
		case name == "code" && value.Kind() == '"':
		case !isTexts(value):
			return nil, false
		default:
			isLists = true
			if isIdentifier(name) && name != "non_field_errors" && len(names) < maxFieldNames {
				names = append(names, name)
			}
		}
	}
	return names, isLists
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
	case !errors.Is(err, errTooLarge) && !errors.Is(err, errCoding):
		e.Err = fmt.Errorf("%w: %w", errCut, err)
	}
	return e
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

var errLicence = errors.New("authentik's licence has expired: it is read-only")

// Delete deletes a row on the caller's behalf. It is retried once, after a pause of a second at most, and only
// after a try whose outcome is unknown: the connection broke, or something between here and authentik's core
// failed or gave up. If the retry finds no such row, the answer's value is true: either the first try deleted the
// row, or there was none.
//
// Its error is always an *Error. After one of kind Unavailable, Timeout or Failed the row may be gone too.
func (c *Client) Delete(
	ctx context.Context, cred Credential, resource Resource, pk PK,
) (outcomeUnknown Answer[bool], err error) {
	if cred.IsZero() {
		return outcomeUnknown, &Error{Kind: Unauthenticated}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeUp)
	defer cancel()
	path := resource.row(pk)
	send := func(ctx context.Context) (answer, error) { return c.delete(ctx, cred, path) }
	a, err := c.policy.do(ctx, pattern{}, send)
	if e, ok := errors.AsType[*Error](err); ok && mayHaveDeleted(e) && pause(ctx, e, 0) {
		again, second := c.policy.do(ctx, pattern{}, send)
		e, failed := errors.AsType[*Error](second)
		if !failed || !e.NotSent() {
			c.policy.retries.Add(1)
		}
		switch {
		case failed && e.Kind == NotFound:
			return Answer[bool]{Value: true, FetchedAt: c.now(), AuthentikID: e.AuthentikID}, nil
		case failed: // which says nothing about the first try: even a refused token may have deleted itself
			return outcomeUnknown, err
		}
		a, err = again, nil
	}
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil:
		return Answer[bool]{FetchedAt: a.at, AuthentikID: a.id()}, nil
	case ok && errors.Is(e, errNoDelete):
		return outcomeUnknown, c.whyNoDelete(ctx, cred, resource, pk, e)
	}
	return outcomeUnknown, err
}

// mayHaveDeleted reports whether the row may be gone after a DELETE that was sent, and a retry may tell. From
// 2026.8 on the router has no 502: a core that died after it had deleted the row is a 503 as well.
func mayHaveDeleted(e *Error) bool {
	switch e.Status {
	case 0:
		return e.Kind != Timeout && !e.NotSent() // after a time-out no time is left
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return isCut(e)
}

// errNoDelete is a 405 whose Allow lacks DELETE. authentik's error page allows only GET, so either
// authentik failed, or the path is not its API's.
var errNoDelete = errors.New("authentik does not allow DELETE here")

// delete sends one DELETE. A nil error is a 204.
func (c *Client) delete(ctx context.Context, cred Credential, path string) (a answer, err error) {
	ctx, span := c.begin(ctx, http.MethodDelete, path)
	defer func() { c.end(ctx, span, a.status, err) }()
	a, err = c.send(ctx, http.MethodDelete, cred, path)
	if err != nil {
		return a, err
	}
	defer a.free()
	if a.status == http.StatusNoContent {
		return a, nil // without a body
	}
	e := classify(a)
	switch {
	case e == nil: // authentik does not answer 200 with JSON here
		e = &Error{Kind: InvalidResponse, Status: a.status, Err: errUnexpected}
	case a.status == http.StatusMethodNotAllowed && !strings.Contains(a.header.Get("Allow"), http.MethodDelete):
		e.Kind, e.Err = Failed, errNoDelete
	case a.status == http.StatusBadRequest && unquote(memberOf(a.body, "code")) == "denied_license":
		e.Kind, e.Fields, e.Err = Unlicensed, nil, errLicence
	}
	return answer{}, e
}

// whyNoDelete asks for the row: a GET shows whether the path is the API's.
func (c *Client) whyNoDelete(ctx context.Context, cred Credential, resource Resource, pk PK, failed *Error) error {
	_, err := c.Retrieve(ctx, cred, resource, pk)
	if e, ok := errors.AsType[*Error](err); ok && errors.Is(e, errNotAPI) {
		return e
	}
	return failed
}

package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// errLicence is authentik's enterprise licence, which has expired: it is read-only then.
var errLicence = errors.New("authentik's licence has expired: it is read-only")

// Delete deletes a row on the caller's behalf. It is sent once more only after a try of which
// nothing is known: a connection that broke, a gateway's error. If that says that there is no such
// row, the answer's value, outcomeUnknown, tells that the first may have deleted it, or that there was none.
//
// Its error is always an *Error. After one of kind Unavailable, Timeout or Failed the row may be
// gone as well.
func (c *Client) Delete(ctx context.Context, cred Credential, resource Resource, pk PK) (outcomeUnknown Answer[bool], err error) {
	if cred.IsZero() {
		return outcomeUnknown, &Error{Kind: Unauthenticated}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeUp)
	defer cancel()
	path := resource.row(pk)
	send := func(ctx context.Context) (answer, error) { return c.delete(ctx, cred, path) }
	a, err := c.policy.once(ctx, send)
	if e, ok := errors.AsType[*Error](err); ok && unknownOutcome(e) {
		again, second := c.policy.once(ctx, send)
		e, failed := errors.AsType[*Error](second)
		if !failed || !e.NotSent() {
			c.policy.retries.Add(1)
		}
		switch {
		case failed && e.Kind == NotFound:
			return Answer[bool]{Value: true, FetchedAt: c.now(), AuthentikID: e.AuthentikID}, nil
		case failed: // says nothing of the first, not even a refusal: a token may have deleted itself
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

// unknownOutcome tells failures after which the row may be deleted or not. What was never sent is
// none, and time that is over leaves none for another try.
func unknownOutcome(e *Error) bool {
	if e.NotSent() || e.Kind == Timeout {
		return false
	}
	switch e.Status {
	case 0, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return isCut(e)
}

// errNoDelete is a 405 whose Allow lacks DELETE. authentik's error page knows only GET, so this is
// its own failure, or a path that is not its API's.
var errNoDelete = errors.New("authentik answers a DELETE as if it knew none")

// delete sends one DELETE. A nil error is a 204.
func (c *Client) delete(ctx context.Context, cred Credential, path string) (a answer, err error) {
	ctx, span := c.begin(ctx, http.MethodDelete, path)
	defer func() { end(span, a.status, err) }()
	a, err = c.send(ctx, http.MethodDelete, cred, path)
	if err != nil {
		return a, err
	}
	defer a.free()
	if a.status == http.StatusNoContent {
		return a, nil // there is no body that could be freed too early
	}
	e := classify(a)
	switch {
	case e == nil: // a 200 with JSON is none that it gives
		e = &Error{Kind: InvalidResponse, Status: a.status, Err: errUnexpected}
	case a.status == http.StatusMethodNotAllowed && !strings.Contains(a.header.Get("Allow"), http.MethodDelete):
		e.Kind, e.Err = Failed, errNoDelete
	case a.status == http.StatusBadRequest && unquote(memberOf(a.body, "code")) == "denied_license":
		e.Kind, e.Fields, e.Err = Unlicensed, nil, errLicence
	}
	return answer{}, e
}

// whyNoDelete asks for the row: a path that is not the API's says so to a GET.
func (c *Client) whyNoDelete(ctx context.Context, cred Credential, resource Resource, pk PK, failed *Error) error {
	_, err := c.Retrieve(ctx, cred, resource, pk)
	if e, ok := errors.AsType[*Error](err); ok && errors.Is(e, errNotAPI) {
		return e
	}
	return failed
}

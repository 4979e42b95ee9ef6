package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Endpoint is something that authentik's API shows at a path.
type Endpoint[T any] struct {
	// Path follows the base URL. It may have a query. Spans show it with {id} for each number.
	Path string
	// Decode reads the body of a 200. Sent is when the request left; dropped names the optional fields of
	// an unknown form, in constant texts, as they go to the log and the metrics.
	Decode func(body []byte, sent time.Time) (value T, dropped []string, err error)
	// Keys are those that are counted in the body; nil counts none.
	Keys *Keys
	// Optional is set for what is shown beside other answers, which stand without it: a call that fails is not
	// repeated, and does not open the breaker for the others.
	Optional bool
	// NotFound is what a 404 means here: the cause of the *Error. It may be nil.
	NotFound error
}

// Fetch asks for what an endpoint shows, on the caller's behalf. Its error is always an *Error.
func Fetch[T any](ctx context.Context, c *Client, cred Credential, e Endpoint[T]) (Answer[T], error) {
	if cred.IsZero() {
		return Answer[T]{}, &Error{Kind: Unauthenticated}
	}
	p := pattern{retries: maxRetries}
	if e.Optional {
		p = pattern{optional: true}
	}
	a, err := c.policy.do(ctx, p, func(ctx context.Context) (answer, error) {
		return c.get(ctx, cred, e.Path)
	})
	if failed, ok := errors.AsType[*Error](err); ok && failed.Kind == NotFound && e.NotFound != nil {
		failed.Err = e.NotFound
	}
	if err != nil {
		return Answer[T]{}, err
	}
	defer a.free()
	c.keys.count(e.Keys, a.body)
	value, dropped, err := e.Decode(a.body, a.sent)
	if err != nil {
		return Answer[T]{}, &Error{Kind: InvalidResponse, Status: a.status, AuthentikID: a.id(), Err: err}
	}
	c.countDropped(ctx, dropped)
	return Answer[T]{Value: value, FetchedAt: a.at, AuthentikID: a.id()}, nil
}

// Retrieve asks for one grant on the caller's behalf. Its error is always an *Error.
func (c *Client) Retrieve(ctx context.Context, cred Credential, resource Resource, pk PK) (Answer[*Grant], error) {
	return Fetch(ctx, c, cred, Endpoint[*Grant]{
		Path: resource.row(pk),
		Keys: grantKeys(resource),
		Decode: func(body []byte, sent time.Time) (*Grant, []string, error) {
			g, dropped, err := DecodeGrant(body, sent)
			if err == nil && g.PK != pk {
				err = errors.New("the answer is another row")
			}
			return g, dropped, err
		},
	})
}

// get sends one GET. It returns a 200 whose type is JSON and whose body the caller frees, or an *Error.
func (c *Client) get(ctx context.Context, cred Credential, path string) (a answer, err error) {
	ctx, span := c.begin(ctx, http.MethodGet, path)
	defer func() { c.end(ctx, span, a.status, err) }()
	a, err = c.send(ctx, http.MethodGet, cred, path)
	if err != nil {
		return answer{}, err
	}
	if e := classify(a); e != nil {
		a.free()
		return answer{}, e
	}
	return a, nil
}

// send sends one request. It returns the answer with its body, which the caller frees, or an *Error.
func (c *Client) send(ctx context.Context, method string, cred Credential, path string) (answer, error) {
	c.calls.Add(1)
	sent := c.now()
	req := c.resty.R().SetContext(ctx).SetHeader("Accept", mimeJSON)
	cred.setHeader(req.Header)
	c.spans.Inject(ctx, req.Header)
	resp, err := req.Execute(method, c.base+path)
	if err != nil {
		return answer{}, transportError(err)
	}
	defer func() { _ = resp.RawBody().Close() }()

	a := answer{status: resp.StatusCode(), header: resp.Header(), sent: sent, at: c.now()}
	a.body, a.free, err = c.bodies.read(ctx, resp.RawResponse)
	if err != nil {
		e := classify(a)
		if errors.Is(err, errTooLarge) || e == nil || e.Kind == InvalidResponse { // else the status says enough
			e = bodyError(err, a)
		}
		a.free()
		return answer{}, e
	}
	return a, nil
}

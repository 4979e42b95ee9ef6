package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"authentik-graphql/upstream/internal/paging"
)

// MaxBody is the cap of an answer's size.
const MaxBody = maxBody

// Classify is the error of an answer; nil is a 200 to be decoded.
func Classify(status int, header http.Header, body []byte) *Error {
	return classify(answer{status: status, header: header, body: body})
}

// RetryAfter reads the header of that name, of an answer with that Date that came then.
func RetryAfter(value, date string, at time.Time) time.Duration {
	return answer{header: http.Header{"Retry-After": {value}, "Date": {date}}, at: at}.retryAfter()
}

// NoteForeign notes a call's answer.
func (c *Client) NoteForeign(err error) { c.noteForeign(context.Background(), err) }

// CleanID is authentik's id of a request as it is kept.
func CleanID(s string) string { return answer{header: http.Header{"X-Authentik-Id": {s}}}.id() }

// ValidJSON reports whether a text is JSON.
func ValidJSON(text []byte) bool { return isJSON(text) }

// EncodeGrant is a grant as it is stored.
func EncodeGrant(c *Grant) []byte { return AppendGrant(nil, c) }

// EncodeRows is a part of a list as it is stored.
func EncodeRows(r *Rows) []byte { return AppendRows(nil, r) }

// SmallBody is what a body may take outside the budget.
const SmallBody = smallBody

// LargeBodies reports whether the larger bodies use nothing of their budget, or all of it, so that further
// ones wait.
func (c *Client) LargeBodies() (nothing, all bool) {
	try := func(n int64) bool {
		ok := c.bodies.budget.TryAcquire(n)
		if ok {
			c.bodies.budget.Release(n)
		}
		return ok
	}
	return try(largeBodies), !try(1)
}

// Page is a page of a list as authentik sends it.
type Page = paging.Page[*Grant]

// DecodePage reads a page.
func DecodePage(body []byte, sent time.Time) (p Page, dropped []string, err error) {
	return decode("", func(d *decoder) (Page, error) { return d.page(body, sent) })
}

// KeysOf are the keys that are counted in a grant.
func KeysOf(body []byte) (absent, unknown map[Key]int64) {
	counts := newKeyCounts(slog.New(slog.DiscardHandler))
	counts.count(tokenKeys, body)
	return counts.all()
}

// Application is a resource that is no grant.
type Application struct {
	Slug     string    `json:"slug"`
	Name     *string   `json:"name"`
	Provider *Provider `json:"provider_obj"`
}

// ErrNoApplication is what a 404 means for an application.
var ErrNoApplication = errors.New("no such application")

// ApplicationAt is the endpoint of an application.
func ApplicationAt(slug string) Endpoint[*Application] {
	return Endpoint[*Application]{
		Path: "/api/v3/core/applications/" + slug + "/",
		Decode: func(body []byte, _ time.Time) (*Application, []string, error) {
			return decode("application", func(d *decoder) (*Application, error) {
				a := new(Application)
				err := d.unmarshal(body, a)
				if err == nil && a.Slug == "" {
					err = errors.New("slug is missing")
				}
				return a, err
			})
		},
		NotFound: ErrNoApplication,
	}
}

// KeepSessions lets a client resume the TLS sessions of others.
func (c *Client) KeepSessions(sessions tls.ClientSessionCache) {
	c.http.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = sessions
}

// ReadBody reads the body of a 200 with JSON in a coding.
func ReadBody(coding string, sent []byte) ([]byte, error) {
	h := http.Header{"Content-Type": {mimeJSON}, "Content-Encoding": {coding}}
	body, free, err := newBodies().read(context.Background(), &http.Response{
		StatusCode: http.StatusOK, Header: h, ContentLength: int64(len(sent)), Body: io.NopCloser(bytes.NewReader(sent)),
	})
	defer free()
	return bytes.Clone(body), err
}

// DecodeProviders reads a page of providers.
func DecodeProviders(body []byte) (p Providers, dropped []string, err error) {
	return decode("provider", func(d *decoder) (Providers, error) { return d.providers(body) })
}

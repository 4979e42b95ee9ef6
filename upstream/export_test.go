package upstream

import (
	"errors"
	"net/http"
	"time"

	"authentik-graphql/upstream/internal/paging"
)

// MaxBody is the cap of an answer's size.
const MaxBody = maxBody

// Classify tells what the client makes of an answer; nil is a 200 worth decoding.
func Classify(status int, header http.Header, body []byte) *Error {
	return classify(answer{status: status, header: header, body: body})
}

// RetryAfter reads the header of that name.
func RetryAfter(value string) time.Duration {
	return retryAfter(http.Header{"Retry-After": {value}})
}

// CleanID is what is kept of authentik's id of a request.
func CleanID(s string) string { return cleanID(s) }

// ValidJSON tells JSON.
func ValidJSON(text []byte) bool { return isJSON(text) }

// EncodeGrant is a grant as it is stored.
func EncodeGrant(c *Grant) []byte { return AppendGrant(nil, c) }

// EncodeRows is a part of a list as it is stored.
func EncodeRows(r *Rows) []byte { return AppendRows(nil, r) }

// SmallBody is what a body may take without asking.
const SmallBody = smallBody

// LargeBodies tells what the larger bodies take of what they may: nothing, or all, so that further
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
	return decode(body, sent, func(d *decoder) Page { return decodePage(d, (*decoder).grant) })
}

// Application is a resource that is no grant, as another engineer would add it.
type Application struct {
	Slug     string
	Name     *string
	Provider *Provider
}

var applicationObject = newObject("application", "Application",
	field[Application]{
		name:     "slug",
		decode:   func(d *decoder, _ string, a *Application) { a.Slug, _ = d.text() },
		complete: func(_ *decoder, _ string, a *Application) bool { return a.Slug != "" },
	},
	text("name", func(a *Application) **string { return &a.Name }),
	nested("provider_obj", func(a *Application) **Provider { return &a.Provider }, providerObject),
)

// ErrNoApplication is what a 404 means for an application.
var ErrNoApplication = errors.New("no such application")

// ApplicationAt is where an application is.
func ApplicationAt(slug string) Endpoint[*Application] {
	return Endpoint[*Application]{
		Path: "/api/v3/core/applications/" + slug + "/",
		Decode: func(body []byte, sent time.Time) (*Application, []string, error) {
			return decode(body, sent, applicationObject.value)
		},
		NotFound: ErrNoApplication,
	}
}

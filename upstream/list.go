package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Query says which rows of a resource are wanted: First rows, newest first unless Oldest, from the
// start or After a row, of all users and providers or of one.
type Query struct {
	First          int
	Oldest         bool
	After          *Position
	User, Provider PK // 0 is any
	// MaxCalls bounds the calls that it may take; CallCount, if not nil, counts them.
	MaxCalls  int
	CallCount *atomic.Int64
}

// Key identifies the query in cache keys: no other query has the same.
func (q Query) Key() string {
	after := "-"
	if q.After != nil {
		after = q.After.PK.String() // where it was is but a hint
	}
	return fmt.Sprintf("%d %t %s %d %d", q.First, q.Oldest, after, q.User, q.Provider)
}

// Rows is a part of a list.
type Rows = Window[*Grant]

// List asks for a part of a list on the caller's behalf. FetchedAt is that of the page that was read
// first. Its error is always an *Error: a list for which MaxCalls are too few is Unavailable, as it
// changes too fast.
//
// pass, if not nil, is called with each call to authentik, and may make it wait or refuse it.
func (c *Client) List(ctx context.Context, cred Credential, resource Resource, q Query, pass func(call func() error) error) (Answer[*Rows], error) {
	if pass == nil {
		pass = func(call func() error) error { return call() }
	}
	if cred.IsZero() {
		return Answer[*Rows]{}, &Error{Kind: Unauthenticated}
	}
	var list Answer[*Rows]
	rows, err := window(ctx, windowQuery{First: q.First, Oldest: q.Oldest, After: q.After, MaxCalls: q.MaxCalls}, (*Grant).key,
		func(ctx context.Context, size, number int) (page[*Grant], error) {
			if q.CallCount != nil {
				q.CallCount.Add(1)
			}
			var p Answer[page[*Grant]]
			err := pass(func() (err error) {
				p, err = Fetch(ctx, c, cred, Endpoint[page[*Grant]]{
					Path:     resource.path() + "?" + q.parameters(size, number),
					Decode:   decodeGrantPage,
					NotFound: errGone,
				})
				return err
			})
			if err == nil && list.FetchedAt.IsZero() {
				list.FetchedAt, list.AuthentikID = p.FetchedAt, p.AuthentikID
			}
			return p.Value, err
		})
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil:
		list.Value = &rows
		return list, nil
	case ok:
		return Answer[*Rows]{}, e
	case errors.Is(err, ErrTooManyCalls):
		return Answer[*Rows]{}, &Error{Kind: Unavailable, RetryAfter: time.Second, Err: err}
	}
	return Answer[*Rows]{}, &Error{Kind: InvalidResponse, Status: http.StatusOK, Err: err}
}

func (c *Grant) key() PK { return c.PK }

// parameters are those of a page.
func (q Query) parameters(size, number int) string {
	parameters := url.Values{
		"ordering":  {"-pk"},
		"page":      {strconv.Itoa(number)},
		"page_size": {strconv.Itoa(size)},
	}
	if q.Oldest {
		parameters.Set("ordering", "pk")
	}
	for name, pk := range map[string]PK{"user": q.User, "provider": q.Provider} {
		if pk != 0 {
			parameters.Set(name, pk.String())
		}
	}
	return parameters.Encode()
}

func decodeGrantPage(body []byte, sent time.Time) (page[*Grant], []string, error) {
	return decode(body, sent, func(d *decoder) page[*Grant] { return decodePage(d, (*decoder).grant) })
}

// pageNumbers are the members of a page's pagination that must be there.
var pageNumbers = [...]string{"count", "start_index", "end_index", "current", "total_pages"}

// decodePage reads a page of a list whose rows are read by the function.
func decodePage[R any](d *decoder, row func(*decoder) R) (p page[R]) {
	var results, pagination bool
	var numbers [len(pageNumbers)]int
	missing := slices.Clone(pageNumbers[:])
	d.object(func(name string) {
		switch name {
		case "results":
			p.Rows = nil
			results = d.elements(func() { p.Rows = append(p.Rows, row(d)) })
		case "pagination":
			pagination = d.object(func(name string) {
				i := slices.Index(pageNumbers[:], name)
				if n, ok := d.integer(); i >= 0 && ok {
					numbers[i], missing[i] = int(n), ""
				}
			})
		default:
			d.next()
		}
	})
	if !results || !pagination {
		d.refuse("results or pagination is missing")
	}
	if name := strings.Join(missing, ""); name != "" {
		d.refuse("a number of pagination is missing: " + name)
	}
	count, first, end, current, pages := numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
	p.Count = count
	p.Start = max(0, first-1) // 0 on an empty page
	if current < pages {      // the last page does not tell its size
		p.Size = max(0, end-first+1) // which is not that of its rows: one may be deleted since they were counted
	}
	return p
}

// AppendRows writes a part of a list for storage, like [AppendGrant].
func AppendRows(b []byte, r *Rows) []byte {
	w := writer{append(b, '{')}
	w.name("offset")
	w.int(int64(r.Offset))
	w.name("count")
	w.int(int64(r.Count))
	w.name("more")
	w.b = strconv.AppendBool(w.b, r.More)
	w.name("rows")
	w.list(len(r.Rows), func(i int) { grantObject.encode(&w, r.Rows[i]) })
	return append(w.b, '}')
}

// RestoreRows reads what [AppendRows] wrote. The strings of the rows are parts of it.
func RestoreRows(stored string) (*Rows, error) {
	d := decoder{stored: true}
	r := &Rows{Offset: -1, Count: -1}
	var hasMore, hasRows bool
	number := func(place *int) {
		if n, ok := d.integer(); ok {
			*place = int(n)
		}
	}
	err := d.read(stored, func() {
		d.object(func(name string) {
			switch name {
			case "offset":
				number(&r.Offset)
			case "count":
				number(&r.Count)
			case "more":
				r.More, hasMore = d.boolean()
			case "rows":
				r.Rows = nil
				hasRows = d.elements(func() { r.Rows = append(r.Rows, d.grant()) })
			default:
				d.next()
			}
		})
	})
	if err != nil {
		return nil, err
	}
	if r.Offset < 0 || r.Count < 0 || !hasMore || !hasRows {
		return nil, fmt.Errorf("upstream: stored list: %w", errSyntax)
	}
	return r, nil
}

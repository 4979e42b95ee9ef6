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

	"authentik-graphql/upstream/internal/paging"
)

// ErrTooManyCalls is the cause of the error of a list that cannot be read in the calls allowed, because
// it changes too fast or its pages are too small.
var ErrTooManyCalls = paging.ErrTooManyCalls

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

// Position is the row after which a list goes on, and its offset when it was last seen. The offset is a
// hint, for rows come and go. The row itself may be gone.
type Position struct {
	PK     PK
	Offset int
}

// Rows is a part of a list.
type Rows = paging.Part[*Grant]

// Key identifies the query in cache keys: no other query has the same.
func (q Query) Key() string {
	after := "-"
	if q.After != nil {
		after = q.After.PK.String() // the offset is but a hint
	}
	return fmt.Sprintf("%d %t %s %d %d", q.First, q.Oldest, after, q.User, q.Provider)
}

// paging is the query without what the server filters by.
func (q Query) paging() paging.Query {
	p := paging.Query{First: q.First, Oldest: q.Oldest, MaxCalls: q.MaxCalls}
	if q.After != nil {
		p.After = &paging.Position{Key: int32(q.After.PK), Offset: q.After.Offset}
	}
	return p
}

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

// Admit makes a call, or makes it wait, or refuses it with an error.
type Admit func(call func() error) error

// List asks for a part of a list on the caller's behalf. FetchedAt is that of the page that was read
// first. Its error is always an *Error: a list for which MaxCalls are too few is Unavailable, as it
// changes too fast.
//
// Each call to authentik is made through admit, if that is not nil.
func (c *Client) List(
	ctx context.Context, cred Credential, resource Resource, q Query, admit Admit,
) (Answer[*Rows], error) {
	keyOf := func(g *Grant) int32 { return int32(g.PK) }
	return fetchRows(ctx, c, cred, resource.path(), q, keyOf, (*decoder).grant, admit)
}

// fetchRows is List for rows of any type, with their primary keys and how one is read.
func fetchRows[R any](
	ctx context.Context, c *Client, cred Credential, path string, q Query,
	keyOf func(R) int32, row func(*decoder) R, admit Admit,
) (list Answer[*paging.Part[R]], err error) {
	var none Answer[*paging.Part[R]]
	if admit == nil {
		admit = func(call func() error) error { return call() }
	}
	if cred.IsZero() {
		return none, &Error{Kind: Unauthenticated}
	}
	readPage := func(ctx context.Context, size, number int) (paging.Page[R], error) {
		if q.CallCount != nil {
			q.CallCount.Add(1)
		}
		var page Answer[paging.Page[R]]
		err := admit(func() (err error) {
			page, err = Fetch(ctx, c, cred, Endpoint[paging.Page[R]]{
				Path: path + "?" + q.parameters(size, number),
				Decode: func(body []byte, sent time.Time) (paging.Page[R], []string, error) {
					return decode(body, sent, func(d *decoder) paging.Page[R] { return decodePage(d, row) })
				},
				NotFound: paging.ErrPageGone,
			})
			return err
		})
		if err == nil && list.FetchedAt.IsZero() {
			list.FetchedAt, list.AuthentikID = page.FetchedAt, page.AuthentikID
		}
		return page.Value, err
	}
	part, err := paging.Read(ctx, q.paging(), keyOf, readPage)
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil:
		list.Value = &part
		return list, nil
	case ok:
		return none, e
	case errors.Is(err, ErrTooManyCalls):
		return none, &Error{Kind: Unavailable, RetryAfter: time.Second, Err: err}
	}
	return none, &Error{Kind: InvalidResponse, Status: http.StatusOK, Err: err}
}

// pageNumbers are the members of a page's pagination that must be there.
var pageNumbers = [...]string{"count", "start_index", "end_index", "current", "total_pages"}

// decodePage reads a page of a list whose rows are read by the function.
func decodePage[R any](d *decoder, row func(*decoder) R) (p paging.Page[R]) {
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
		p.Size = max(0, end-first+1) // not the number of its rows: one may be deleted after they were counted
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

package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
)

// Query says which rows of a resource are wanted: First rows, newest first unless Oldest, from the
// start or After a row, of all users and providers or of one.
type Query struct {
	First          int
	Oldest         bool
	After          *Position
	User, Provider PK // 0 is any
	// MaxCalls bounds the calls that it may take; Spent, if not nil, counts them.
	MaxCalls int
	Spent    *atomic.Int64
}

// Name is a text that no other query has, for keys.
func (q Query) Name() string {
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
			if q.Spent != nil {
				q.Spent.Add(1)
			}
			p, a, err := c.page(ctx, cred, resource, q, size, number, pass)
			if err == nil && list.FetchedAt.IsZero() {
				list.FetchedAt, list.AuthentikID = a.at, cleanID(a.header.Get("X-Authentik-Id"))
			}
			return p, err
		})
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil:
		list.Value = &rows
		return list, nil
	case ok:
		return Answer[*Rows]{}, e
	case errors.Is(err, ErrCalls):
		return Answer[*Rows]{}, &Error{Kind: Unavailable, RetryAfter: time.Second, Err: err}
	}
	return Answer[*Rows]{}, &Error{Kind: InvalidResponse, Status: http.StatusOK, Err: err}
}

func (c *Grant) key() PK { return c.PK }

// page asks for one page. Its error is errGone or an *Error.
func (c *Client) page(ctx context.Context, cred Credential, resource Resource, q Query, size, number int, pass func(call func() error) error) (p page[*Grant], a answer, err error) {
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
	err = pass(func() (err error) {
		a, err = c.policy.do(ctx, func(ctx context.Context) (answer, error) {
			return c.get(ctx, cred, resource.path()+"?"+parameters.Encode())
		})
		return err
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == NotFound {
		return p, a, errGone
	}
	if err != nil {
		return p, a, err
	}
	defer a.free()
	d := decoder{sent: a.sent, checked: true}
	p, err = d.page(a.body)
	if err != nil {
		return p, a, &Error{Kind: InvalidResponse, Status: a.status, AuthentikID: cleanID(a.header.Get("X-Authentik-Id")), Err: err}
	}
	c.countDropped(ctx, d.dropped)
	return p, a, nil
}

// page reads a page of a list.
func (d *decoder) page(body []byte) (p page[*Grant], err error) {
	root, err := d.root(body)
	if err != nil {
		return p, err
	}
	results, pagination := root.Get("results"), root.Get("pagination")
	if !results.IsArray() || !pagination.IsObject() {
		return p, errors.New("decode: results or pagination is missing")
	}
	number := func(name string) int {
		n, ok := integer(pagination.Get(name))
		if !ok {
			d.fail("pagination." + name + " is no integer")
		}
		return int(n)
	}
	p.Count = number("count")
	first, end, current, pages := number("start_index"), number("end_index"), number("current"), number("total_pages")
	results.ForEach(func(_, row gjson.Result) bool {
		p.Rows = append(p.Rows, d.row(row))
		return d.err == nil
	})
	if d.err != nil {
		return page[*Grant]{}, d.err
	}
	p.Start = max(0, first-1) // 0 on an empty page
	if current < pages {      // the last page does not tell its size
		p.Size = max(0, end-first+1) // which is not that of its rows: one may be deleted since they were counted
	}
	return p, nil
}

// row reads a grant within a list.
func (d *decoder) row(v gjson.Result) *Grant {
	if !v.IsObject() {
		d.fail("a row is no object")
		return nil
	}
	before := d.held
	g := d.grant(v)
	g.size = d.held - before
	return g
}

// Size is what a part of a list takes in memory, in bytes.
func (w *Window[R]) Size() int {
	n := 128
	for _, row := range w.Rows {
		n += 8
		if sized, ok := any(row).(interface{ Size() int }); ok {
			n += sized.Size()
		}
	}
	return n
}

// EncodeRows writes a part of a list for storage, like [EncodeGrant].
func EncodeRows(r *Rows) []byte {
	w := writer{b: make([]byte, 0, r.Size())}
	w.open("")
	w.int("offset", int32(r.Offset))
	w.int("count", int32(r.Count))
	w.boolean("more", &r.More)
	w.key("rows")
	w.b = append(w.b, '[')
	for i, row := range r.Rows {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, EncodeGrant(row)...)
	}
	w.b = append(w.b, ']')
	w.close()
	return w.b
}

// RestoreRows reads what [EncodeRows] wrote.
func RestoreRows(stored []byte) (*Rows, error) {
	d := decoder{stored: true}
	root, err := d.root(stored)
	if err != nil {
		return nil, err
	}
	offset, ok1 := integer(root.Get("offset"))
	count, ok2 := integer(root.Get("count"))
	rows := root.Get("rows")
	if !ok1 || !ok2 || offset < 0 || count < 0 || !rows.IsArray() || !root.Get("more").IsBool() {
		return nil, fmt.Errorf("upstream: stored list: %w", errSyntax)
	}
	r := &Rows{Offset: int(offset), Count: int(count), More: root.Get("more").Bool()}
	rows.ForEach(func(_, row gjson.Result) bool {
		r.Rows = append(r.Rows, d.row(row))
		return d.err == nil
	})
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

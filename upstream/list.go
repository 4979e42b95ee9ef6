package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
) (list Answer[*Rows], err error) {
	var none Answer[*Rows]
	if admit == nil {
		admit = func(call func() error) error { return call() }
	}
	if cred.IsZero() {
		return none, &Error{Kind: Unauthenticated}
	}
	readPage := func(ctx context.Context, size, number int) (paging.Page[*Grant], error) {
		if q.CallCount != nil {
			q.CallCount.Add(1)
		}
		var page Answer[paging.Page[*Grant]]
		err := admit(func() (err error) {
			page, err = Fetch(ctx, c, cred, Endpoint[paging.Page[*Grant]]{
				Path: resource.path() + "?" + q.parameters(size, number),
				Decode: func(body []byte, sent time.Time) (paging.Page[*Grant], []string, error) {
					return decode("", func(d *decoder) (paging.Page[*Grant], error) { return d.page(body, sent) })
				},
				Keys:     pageOf(grantKeys(resource)),
				NotFound: paging.ErrPageGone,
			})
			return err
		})
		if err == nil && list.FetchedAt.IsZero() {
			list.FetchedAt, list.AuthentikID = page.FetchedAt, page.AuthentikID
		}
		return page.Value, err
	}
	part, err := paging.Read(ctx, q.paging(), func(g *Grant) int32 { return int32(g.PK) }, readPage)
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

// sentPage is a page as authentik sends it.
type sentPage struct {
	Results    sentRows `json:"results"`
	Pagination struct {
		Count      *int32 `json:"count"`
		StartIndex *int32 `json:"start_index"`
		EndIndex   *int32 `json:"end_index"`
		Current    *int32 `json:"current"`
		TotalPages *int32 `json:"total_pages"`
	} `json:"pagination"`
}

// sentRows are the rows of a page. Reading ends at the first one that is no grant.
type sentRows struct {
	decoder *decoder
	sent    time.Time
	rows    []*Grant // nil if there is no list
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (r *sentRows) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	if start, err := in.ReadToken(); err != nil || start.Kind() != '[' {
		return cmp.Or(err, errNoRows)
	}
	r.rows = []*Grant{}
	for in.PeekKind() != ']' {
		row, err := in.ReadValue()
		if err != nil {
			return err
		}
		g, err := r.decoder.grant(row, r.sent)
		if err != nil {
			return err
		}
		r.rows = append(r.rows, g)
	}
	_, err := in.ReadToken()
	return err
}

var errNoRows = errors.New("decode: results or a number of pagination is missing")

// page reads a page of grants. The last page does not tell its size.
func (d *decoder) page(body []byte, sent time.Time) (p paging.Page[*Grant], err error) {
	s := sentPage{Results: sentRows{decoder: d, sent: sent}}
	if err := d.unmarshal(body, &s); err != nil {
		return p, err
	}
	n := s.Pagination
	numbers := []*int32{n.Count, n.StartIndex, n.EndIndex, n.Current, n.TotalPages}
	if s.Results.rows == nil || slices.Contains(numbers, nil) {
		return p, errNoRows
	}
	p.Count = int(*n.Count)
	p.Start = max(0, int(*n.StartIndex)-1) // 0 on an empty page
	if *n.Current < *n.TotalPages {
		// It is not the number of rows: one may be deleted after they were counted.
		p.Size = max(0, int(*n.EndIndex)-int(*n.StartIndex)+1)
	}
	p.Rows = s.Results.rows
	return p, nil
}

// storedRows is a part of a list as it is stored.
type storedRows struct {
	Offset *int     `json:"offset"`
	Count  *int     `json:"count"`
	More   *bool    `json:"more"`
	Rows   []*Grant `json:"rows"`
}

// AppendRows writes a part of a list for storage, like [AppendGrant].
func AppendRows(b []byte, r *Rows) []byte {
	text, _ := json.Marshal(storedRows{&r.Offset, &r.Count, &r.More, r.Rows}, stored)
	return append(b, text...)
}

// RestoreRows reads what [AppendRows] wrote.
func RestoreRows(text string) (*Rows, error) {
	var s storedRows
	if err := unmarshal([]byte(text), &s, stored); err != nil {
		return nil, err
	}
	if s.Offset == nil || *s.Offset < 0 || s.Count == nil || *s.Count < 0 || s.More == nil || s.Rows == nil {
		return nil, errors.New("upstream: stored list is incomplete")
	}
	for _, g := range s.Rows {
		if err := g.restore(); err != nil {
			return nil, err
		}
	}
	return &Rows{Offset: *s.Offset, Count: *s.Count, More: *s.More, Rows: s.Rows}, nil
}

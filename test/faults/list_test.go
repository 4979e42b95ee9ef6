//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

const listDocument = `query List($first: Int!, $after: String) { authorizationCodes(first: $first, after: $after) {
	edges { cursor node { id isExpired fetchedAt user { username } } } totalCount pageInfo { hasNextPage endCursor } } }`

// page is a page of a list, newest first.
type page struct {
	caller   caller
	first    int
	after    string    // the cursor of the previous page, "" if there is none
	below    int32     // the code of that cursor, 0 if there is none
	answered time.Time // when the previous page was
}

// nextWithin is how soon after a page the next is asked for. Some 25 codes come or go in a second. The
// more did since the cursor was made, the more calls the service needs to find its place: one page in a
// hundred takes tens, and a few take more than the service allows, which is an error.
const nextWithin = time.Second

// list asks for the first page of a list or, half the time, for the next if there is one.
func (w *workload) list() request {
	p := page{caller: w.callers[w.random.IntN(len(w.callers))], first: []int{5, 20, 50}[w.random.IntN(3)]}
	q := request{kind: kindList}
	if w.random.IntN(2) == 0 {
		w.mu.Lock()
		if next := w.pages[p.caller.name]; time.Since(next.answered) < nextWithin {
			p, q.kind, q.want, q.extraTime = next, kindPage, codeUnavailable, operationTimeout
		}
		w.mu.Unlock()
	}
	q.token, q.document, q.variables = p.caller.token, listDocument, map[string]any{"first": p.first}
	if p.after != "" {
		q.variables["after"] = p.after
	}
	q.check = func(field json.RawMessage, r response, got result) error {
		if !got.data {
			return nil
		}
		var list listAnswer
		if err := json.Unmarshal(field, &list); err != nil {
			return err
		}
		if err := list.check(p, w.fixture, r, got.stale); err != nil {
			return fmt.Errorf("first %d, below %d: %w", p.first, p.below, err)
		}
		w.remember(p, list, r.ended)
		return nil
	}
	return q
}

// remember keeps what it takes to ask for the page after p.
func (w *workload) remember(p page, got listAnswer, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !got.PageInfo.HasNextPage {
		delete(w.pages, p.caller.name)
		return
	}
	p.after, p.below, p.answered = got.PageInfo.EndCursor, got.pks()[len(got.Edges)-1], at
	w.pages[p.caller.name] = p
}

type edge struct {
	Cursor string
	Node   codeAnswer
}

type listAnswer struct {
	Edges      []edge
	TotalCount int
	PageInfo   struct {
		HasNextPage bool
		EndCursor   string
	}
}

// pks returns the codes of the page, 0 for an id that is no number.
func (l *listAnswer) pks() (all []int32) {
	for _, edge := range l.Edges {
		pk, _ := strconv.ParseInt(edge.Node.ID, 10, 32)
		all = append(all, int32(pk))
	}
	return all
}

// check compares a page with the fixture.
func (l *listAnswer) check(p page, f *fixture, r response, stale bool) error {
	n, pks := len(l.Edges), l.pks()
	switch {
	case n > p.first || n > l.TotalCount:
		return fmt.Errorf("%d codes of %d: %s", n, l.TotalCount, r.body)
	case l.PageInfo.HasNextPage && (n == 0 || l.Edges[n-1].Cursor != l.PageInfo.EndCursor):
		return fmt.Errorf("endCursor is not the last code's: %s", r.body)
	}
	below := p.below
	for i, edge := range l.Edges {
		e, known := f.ledger.entry(pks[i])
		if !known || below != 0 && pks[i] >= below {
			return fmt.Errorf("code %d after %d: %s", pks[i], below, r.body)
		}
		below = pks[i]
		if err := edge.Node.check(lookup{caller: p.caller, code: e.Code, ledger: f.ledger}, r, stale); err != nil {
			return err
		}
	}
	return l.checkComplete(p, f, r, below)
}

// checkComplete looks for hot codes, which are never deleted, that belong on the page but are not on it.
func (l *listAnswer) checkComplete(p page, f *fixture, r response, last int32) error {
	pks := l.pks()
	for _, c := range f.hot {
		switch {
		case lookup{caller: p.caller, code: c}.foreign(),
			p.below != 0 && c.PK >= p.below,
			l.PageInfo.HasNextPage && c.PK < last,
			slices.Contains(pks, c.PK):
		default:
			return fmt.Errorf("code %d is left out: %s", c.PK, r.body)
		}
	}
	return nil
}

// TestWrongListsAreFound: alice owns every other one of the 20 codes, and is shown those from 19 to 1.
func TestWrongListsAreFound(t *testing.T) {
	f := newFixture(upstreamtest.New(upstreamtest.Options{}), time.Now().Add(time.Hour), 0)
	f.ledger.markRevoked(f.add().PK) // 21, alice's
	asked := time.Now()
	r := response{begun: asked, ended: asked.Add(time.Second)}
	tests := []struct {
		name  string
		pks   []int32
		more  bool
		below int32
		wrong func(*listAnswer)
		want  string // in the error
	}{
		{name: "right", pks: []int32{19, 17, 15}, more: true},
		{name: "right, a next page", pks: []int32{13, 11, 9}, below: 15, more: true},
		{name: "right, the last page", pks: []int32{3, 1}, below: 5},
		{name: "another caller's code", pks: []int32{19, 18, 17}, more: true, want: "is shown bob's code"},
		{name: "a revoked code", pks: []int32{21, 19, 17}, more: true, want: "after it was revoked"},
		{name: "one that never existed", pks: []int32{99, 19, 17}, more: true, want: "code 99"},
		{name: "out of order", pks: []int32{17, 19, 15}, more: true, want: "code 19 after 17"},
		{name: "one twice", pks: []int32{19, 19, 17}, more: true, want: "code 19 after 19"},
		{name: "one of the previous page", pks: []int32{15, 13, 11}, below: 15, more: true, want: "code 15 after 15"},
		{name: "one left out", pks: []int32{19, 15}, more: true, want: "code 17 is left out"},
		{name: "the end left out", pks: []int32{3}, below: 5, want: "code 1 is left out"},
		{name: "too many", pks: []int32{19, 17, 15, 13}, more: true, want: "4 codes"},
		{name: "a stale one", pks: []int32{19, 17, 15}, more: true, want: "does not say that it is stale",
			wrong: func(l *listAnswer) { l.Edges[1].Node.FetchedAt = asked.Add(-time.Minute) }},
		{name: "expired before its time", pks: []int32{19, 17, 15}, more: true, want: "isExpired is wrong",
			wrong: func(l *listAnswer) { l.Edges[0].Node.IsExpired = !l.Edges[0].Node.IsExpired }},
		{name: "a cursor from elsewhere", pks: []int32{19, 17, 15}, more: true, want: "endCursor is not",
			wrong: func(l *listAnswer) { l.PageInfo.EndCursor = "19" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listOf(f.ledger, tt.pks, asked)
			l.PageInfo.HasNextPage = tt.more
			if tt.wrong != nil {
				tt.wrong(l)
			}
			err := l.check(page{caller: f.callers[0], first: 3, below: tt.below}, f, r, false)
			if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// listOf is a page of codes as authentik answers it now.
func listOf(ledger *ledger, pks []int32, now time.Time) *listAnswer {
	l := &listAnswer{TotalCount: 100}
	for _, pk := range pks {
		e, _ := ledger.entry(pk)
		id := strconv.Itoa(int(pk))
		node := codeAnswer{ID: id, IsExpired: now.After(e.Expires), FetchedAt: now}
		node.User.Username = e.Owner
		l.Edges, l.PageInfo.EndCursor = append(l.Edges, edge{id, node}), id
	}
	return l
}

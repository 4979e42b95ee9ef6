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

// page is a part of a list, newest first.
type page struct {
	caller caller
	first  int
	// after is the cursor of the page before, and below the code that it stands for; "" and 0 if
	// there is none.
	after string
	below int32
	at    time.Time // when the page before was answered
}

// nextWithin is how soon after a page the next is asked for. Some 25 codes come or go in a second, and
// the more did since, the more calls it takes the service to find where the list goes on: one in a
// hundred takes tens, and some more than it makes for a list, which is an error then.
const nextWithin = time.Second

// list asks for the first page of a list or, as often if there is one, for the next.
func (m *mix) list() question {
	p := page{caller: m.callers[m.random.IntN(len(m.callers))], first: []int{5, 20, 50}[m.random.IntN(3)]}
	q := question{kind: kindList}
	if m.random.IntN(2) == 0 {
		m.mu.Lock()
		if next := m.pages[p.caller.name]; time.Since(next.at) < nextWithin {
			p, q.kind, q.want, q.longer = next, kindPage, codeUnavailable, operationTimeout
		}
		m.mu.Unlock()
	}
	q.token, q.document, q.variables = p.caller.token, listDocument, map[string]any{"first": p.first}
	if p.after != "" {
		q.variables["after"] = p.after
	}
	q.check = func(field json.RawMessage, a answer, r reading) error {
		if !r.data {
			return nil
		}
		var got listAnswer
		if err := json.Unmarshal(field, &got); err != nil {
			return err
		}
		if err := got.check(p, m.fixture, a, r.stale); err != nil {
			return fmt.Errorf("first %d, below %d: %w", p.first, p.below, err)
		}
		m.goOn(p, got, a.ended)
		return nil
	}
	return q
}

// goOn remembers where the list goes on after a page.
func (m *mix) goOn(p page, got listAnswer, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !got.PageInfo.HasNextPage {
		delete(m.pages, p.caller.name)
		return
	}
	p.after, p.below, p.at = got.PageInfo.EndCursor, got.pks()[len(got.Edges)-1], at
	m.pages[p.caller.name] = p
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

// pks are the codes of the page, 0 for what is none.
func (l *listAnswer) pks() (all []int32) {
	for _, edge := range l.Edges {
		pk, _ := strconv.ParseInt(edge.Node.ID, 10, 32)
		all = append(all, int32(pk))
	}
	return all
}

// check compares a page with the codes that there are.
func (l *listAnswer) check(p page, f *fixture, a answer, stale bool) error {
	n, pks := len(l.Edges), l.pks()
	switch {
	case n > p.first || n > l.TotalCount:
		return fmt.Errorf("%d codes of %d: %s", n, l.TotalCount, a.body)
	case l.PageInfo.HasNextPage && (n == 0 || l.Edges[n-1].Cursor != l.PageInfo.EndCursor):
		return fmt.Errorf("it does not go on after its last code: %s", a.body)
	}
	below := p.below
	for i, edge := range l.Edges {
		e, known := f.book.entry(pks[i])
		if !known || below != 0 && pks[i] >= below {
			return fmt.Errorf("code %d after %d: %s", pks[i], below, a.body)
		}
		below = pks[i]
		if err := edge.Node.check(ask{caller: p.caller, code: e.Code, book: f.book}, a, stale); err != nil {
			return err
		}
	}
	return l.leftOut(p, f, a, below)
}

// leftOut finds codes that are there for good and should be on a page whose last code is last.
func (l *listAnswer) leftOut(p page, f *fixture, a answer, last int32) error {
	pks := l.pks()
	for _, c := range f.hot {
		switch {
		case ask{caller: p.caller, code: c}.foreign(),
			p.below != 0 && c.PK >= p.below,
			l.PageInfo.HasNextPage && c.PK < last,
			slices.Contains(pks, c.PK):
		default:
			return fmt.Errorf("code %d is left out: %s", c.PK, a.body)
		}
	}
	return nil
}

// TestWrongListsAreFound: of 20 codes alice has every other one, and sees those from 19 down to 1.
func TestWrongListsAreFound(t *testing.T) {
	f := newFixture(upstreamtest.New(upstreamtest.Options{}), time.Now().Add(time.Hour), 0)
	f.book.isRevoked(f.add().PK) // 21, alice's
	asked := time.Now()
	a := answer{begun: asked, ended: asked.Add(time.Second)}
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
		{name: "another's code", pks: []int32{19, 18, 17}, more: true, want: "is shown bob's code"},
		{name: "a revoked code", pks: []int32{21, 19, 17}, more: true, want: "after it was revoked"},
		{name: "one that never was", pks: []int32{99, 19, 17}, more: true, want: "code 99"},
		{name: "out of order", pks: []int32{17, 19, 15}, more: true, want: "code 19 after 17"},
		{name: "one twice", pks: []int32{19, 19, 17}, more: true, want: "code 19 after 19"},
		{name: "one of the page before", pks: []int32{15, 13, 11}, below: 15, more: true, want: "code 15 after 15"},
		{name: "one left out", pks: []int32{19, 15}, more: true, want: "code 17 is left out"},
		{name: "the end left out", pks: []int32{3}, below: 5, want: "code 1 is left out"},
		{name: "too many", pks: []int32{19, 17, 15, 13}, more: true, want: "4 codes"},
		{name: "an old one", pks: []int32{19, 17, 15}, more: true, want: "does not say that it is stale",
			wrong: func(l *listAnswer) { l.Edges[1].Node.FetchedAt = asked.Add(-time.Minute) }},
		{name: "expired before its time", pks: []int32{19, 17, 15}, more: true, want: "isExpired is wrong",
			wrong: func(l *listAnswer) { l.Edges[0].Node.IsExpired = !l.Edges[0].Node.IsExpired }},
		{name: "a cursor from elsewhere", pks: []int32{19, 17, 15}, more: true, want: "does not go on",
			wrong: func(l *listAnswer) { l.PageInfo.EndCursor = "19" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listOf(f.book, tt.pks, asked)
			l.PageInfo.HasNextPage = tt.more
			if tt.wrong != nil {
				tt.wrong(l)
			}
			err := l.check(page{caller: f.callers[0], first: 3, below: tt.below}, f, a, false)
			if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// listOf is a page as authentik gives it now.
func listOf(b *book, pks []int32, now time.Time) *listAnswer {
	l := &listAnswer{TotalCount: 100}
	for _, pk := range pks {
		e, _ := b.entry(pk)
		id := strconv.Itoa(int(pk))
		node := codeAnswer{ID: id, IsExpired: now.After(e.Expires), FetchedAt: now}
		node.User.Username = e.Owner
		l.Edges, l.PageInfo.EndCursor = append(l.Edges, edge{id, node}), id
	}
	return l
}

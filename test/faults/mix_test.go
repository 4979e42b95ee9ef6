//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// Kinds of questions beside those of the fixture, as the report calls them.
const (
	kindDoomed  = "a code that is about to be revoked"
	kindGhost   = "a revoked code"
	kindRevoke  = "a revocation"
	kindList    = "a list's first page"
	kindPage    = "a list's next page"
	kindInvalid = "an invalid request"
	kindLeaving = "a client that leaves"
)

const (
	// doomedCodes wait to be revoked, and are asked for meanwhile.
	doomedCodes = 16
	// maxGhosts are so many that the oldest is asked for longer than the service remembers that it was
	// revoked.
	maxGhosts = 400
	// longestPatience is a little more than authentik takes for an answer: most clients that leave do
	// before there is one.
	longestPatience = 60 * time.Millisecond
)

// mix is all kinds of questions, of which next picks one.
type mix struct {
	*fixture
	doomed, ghosts []upstreamtest.Code // the oldest first

	mu    sync.Mutex
	pages map[string]page // where the list of a caller goes on
}

func newMix(f *fixture) *mix { return &mix{fixture: f, pages: map[string]page{}} }

// next picks a question. Not much of it is of the kinds that cost authentik a call.
func (m *mix) next() question {
	for len(m.doomed) < doomedCodes {
		m.doomed = append(m.doomed, m.add())
	}
	var q question
	switch n := m.random.IntN(100); {
	case n < 48:
		q = m.fixture.next().question()
	case n < 60:
		q = m.list()
	case n < 72:
		q = m.mortal(kindDoomed, m.pick(m.doomed)).question()
	case n < 75:
		return m.revoke()
	case n < 87 && len(m.ghosts) > 0:
		q = m.mortal(kindGhost, m.ghost()).question()
	case n < 93:
		return m.invalid()
	default:
		q = m.leaving()
	}
	// Callers send the same question in all ways.
	q.way = []way{byPOST, byPOST, byGET, byHash, zipped}[m.random.IntN(5)]
	return q
}

func (m *mix) pick(codes []upstreamtest.Code) upstreamtest.Code {
	return codes[m.random.IntN(len(codes))]
}

// ghost is a code of which half the time the revocation was one of the last.
func (m *mix) ghost() upstreamtest.Code {
	if m.random.IntN(2) == 0 {
		return m.pick(m.ghosts)
	}
	return m.pick(m.ghosts[max(0, len(m.ghosts)-8):])
}

// mortal asks for a code that is revoked sooner or later: its owner does, or the superuser.
func (m *mix) mortal(kind string, code upstreamtest.Code) ask {
	may := slices.DeleteFunc(slices.Clone(m.callers), func(c caller) bool { return !c.superuser && c.name != code.Owner })
	return ask{kind: kind, caller: may[m.random.IntN(len(may))], code: code, book: m.book}
}

// leaving is a question for what takes a while, by somebody who does not wait so long.
func (m *mix) leaving() question {
	q := m.list()
	if m.random.IntN(2) == 0 {
		q = ask{caller: m.callers[2], code: m.fresh()}.question()
	}
	q.kind = kindLeaving
	q.patience = 1 + time.Duration(m.random.Int64N(int64(longestPatience)))
	return q
}

// invalid is a question that must be answered with its error whatever is broken.
func (m *mix) invalid() question {
	const one = `query One($id: ID!) { authorizationCode(id: $id) { id } }`
	kinds := []question{
		{want: "GRAPHQL_PARSE_FAILED", document: `{ authorizationCode(id: `},
		{want: "GRAPHQL_VALIDATION_FAILED", document: `{ authorizationCode(id: 1) { secret } }`},
		{want: "LIMIT_EXCEEDED", document: `{` + strings.Repeat(` a: __typename`, 201) + ` }`},
		{want: "BAD_USER_INPUT", document: one, variables: map[string]any{"id": "0x11"}},
		{want: "BAD_USER_INPUT", document: `{ authorizationCodes(first: 0) { totalCount } }`},
		{want: "PAYLOAD_TOO_LARGE", status: 413, document: `{ __typename }` + strings.Repeat(" ", 64<<10)},
	}
	q := kinds[m.random.IntN(len(kinds))]
	q.kind, q.way, q.token = kindInvalid, byPOST, m.callers[m.random.IntN(len(m.callers))].token
	q.check = func(_ json.RawMessage, a answer, r reading) error {
		if r.code != q.want {
			return fmt.Errorf("not %s: %s", q.want, a.body)
		}
		return nil
	}
	return q
}

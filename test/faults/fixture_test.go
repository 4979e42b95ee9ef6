//go:build linux

package faults

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// caller is somebody who asks.
type caller struct {
	name, token string
	superuser   bool
}

// callers are two who see their own codes, and one who sees all.
func callers() []caller {
	return []caller{
		{name: upstreamtest.UserAlice, token: upstreamtest.TokenAlice},
		{name: upstreamtest.UserBob, token: upstreamtest.TokenBob},
		{name: upstreamtest.UserRoot, token: upstreamtest.TokenRoot, superuser: true},
	}
}

// ask is somebody who asks for a code.
type ask struct {
	kind   string
	caller caller
	code   upstreamtest.Code
	book   *book // of a code that may be revoked, else nil
}

const document = `query Faults($id: ID!) { authorizationCode(id: $id) { id isExpired fetchedAt user { username } } }`

// foreign tells whether authentik refuses the code to the caller, as if there were none.
func (a ask) foreign() bool { return !a.caller.superuser && a.caller.name != a.code.Owner }

// question is the ask as a request.
func (q ask) question() question {
	out := question{
		kind: q.kind, token: q.caller.token, document: document,
		variables: map[string]any{"id": strconv.Itoa(int(q.code.PK))},
		check:     q.check,
	}
	if q.foreign() || q.book != nil {
		out.want = codeNotFound
	}
	return out
}

// check compares the answer with the fixture.
func (q ask) check(field json.RawMessage, a answer, r reading) error {
	switch {
	case r.code == codeNotFound && !q.foreign() && q.book != nil:
		return q.book.wronglyRefused(q.code.PK)
	case !r.data:
		return nil
	}
	var c codeAnswer
	if err := json.Unmarshal(field, &c); err != nil {
		return err
	}
	return c.check(q, a, r.stale)
}

// Kinds of questions, as the report of the soak calls them.
const (
	kindHot     = "a code, asked for often"
	kindNew     = "a code that nobody asked for before"
	kindForeign = "another's code"
)

const (
	hotCodes = 20
	// youngCodes of those that were asked for once are still there.
	youngCodes = 200
)

// fixture is what there is to ask for, and the order in which it is asked.
type fixture struct {
	authentik *upstreamtest.Authentik
	callers   []caller
	hot       []upstreamtest.Code // asked for again and again
	young     []upstreamtest.Code // asked for once, the oldest first
	lives     []time.Duration     // how long codes are valid, in turns
	made      int
	book      *book
	random    *rand.Rand
}

// newFixture adds the hot codes to authentik. Some of them have expired, and some do at ends. Every
// run with the same seed asks in the same order.
func newFixture(authentik *upstreamtest.Authentik, ends time.Time, seed uint64) *fixture {
	f := &fixture{
		authentik: authentik,
		callers:   callers(),
		lives:     []time.Duration{-time.Hour, time.Until(ends), time.Hour, 2 * time.Hour, 3 * time.Hour},
		book:      newBook(),
		random:    rand.New(rand.NewPCG(1, seed)), //nolint:gosec // repeatable on purpose
	}
	for range hotCodes {
		f.hot = append(f.hot, f.add())
	}
	return f
}

// add adds a code to authentik, of alice and bob in turns.
func (f *fixture) add() upstreamtest.Code {
	c := upstreamtest.Code{Owner: f.callers[f.made%2].name, Expires: time.Now().Add(f.lives[f.made%len(f.lives)])}
	f.made++
	c, _ = f.authentik.Code(f.authentik.AddCode(c)) // as it was stored
	f.book.add(c)
	return c
}

// fresh is a code that nobody asked for before. One that was asked for long ago is redeemed, so that
// there are never many more.
func (f *fixture) fresh() upstreamtest.Code {
	f.young = append(f.young, f.add())
	if len(f.young) > youngCodes {
		f.redeem(f.young[0].PK)
		f.young = f.young[1:]
	}
	return f.young[len(f.young)-1]
}

// redeem takes a code out of authentik behind the service's back.
func (f *fixture) redeem(pk int32) {
	f.book.leaves(pk)
	f.authentik.RemoveCode(pk)
	f.book.isGone(pk)
}

// next picks what to ask for. One request in twenty asks for a code that nobody asked for before,
// which no cache can answer, and one in forty for another's, which nobody may answer. A third of
// the rest are the superuser's, so that two callers have the same code in the cache.
func (f *fixture) next() ask {
	n := f.random.IntN(120)
	kind, code := kindHot, f.hot[f.random.IntN(len(f.hot))]
	if n < 6 {
		kind, code = kindNew, f.fresh()
	}
	owner, other, root := f.callers[0], f.callers[1], f.callers[2]
	if code.Owner != owner.name {
		owner, other = other, owner
	}
	switch {
	case n >= 6 && n < 9:
		return ask{kind: kindForeign, caller: other, code: code}
	case n%3 == 0:
		return ask{kind: kind, caller: root, code: code}
	}
	return ask{kind: kind, caller: owner, code: code}
}

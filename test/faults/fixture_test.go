//go:build linux

package faults

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

type caller struct {
	name, token string
	superuser   bool
}

// callers returns two who may read their own codes and one who may read all.
func callers() []caller {
	return []caller{
		{name: upstreamtest.UserAlice, token: upstreamtest.TokenAlice},
		{name: upstreamtest.UserBob, token: upstreamtest.TokenBob},
		{name: upstreamtest.UserRoot, token: upstreamtest.TokenRoot, superuser: true},
	}
}

// lookup is a caller's request for a code.
type lookup struct {
	kind   string
	caller caller
	code   upstreamtest.Code
	ledger *ledger // nil if the code is never revoked
}

const document = `query Faults($id: ID!) { authorizationCode(id: $id) { id isExpired fetchedAt user { username } } }`

// foreign reports whether authentik hides the code from the caller.
func (l lookup) foreign() bool { return !l.caller.superuser && l.caller.name != l.code.Owner }

func (l lookup) request() request {
	out := request{
		kind: l.kind, token: l.caller.token, document: document,
		variables: map[string]any{"id": strconv.Itoa(int(l.code.PK))},
		check:     l.check,
	}
	if l.foreign() || l.ledger != nil {
		out.want = codeNotFound
	}
	return out
}

// check compares the response with the fixture.
func (l lookup) check(field json.RawMessage, r response, got result) error {
	switch {
	case got.code == codeNotFound && !l.foreign() && l.ledger != nil:
		return l.ledger.checkNotFound(l.code.PK)
	case !got.data:
		return nil
	}
	var c codeAnswer
	if err := json.Unmarshal(field, &c); err != nil {
		return err
	}
	return c.check(l, r, got.stale)
}

// Kinds of requests, as the soak's report calls them.
const (
	kindHot     = "a hot code"
	kindNew     = "a new code"
	kindForeign = "another caller's code"
)

const (
	hotCodes = 20
	// maxOnce is how many of the codes that were asked for once authentik keeps.
	maxOnce = 200
)

// fixture holds the codes and the order in which they are asked for.
type fixture struct {
	authentik *upstreamtest.Authentik
	callers   []caller
	hot       []upstreamtest.Code // asked for again and again
	once      []upstreamtest.Code // asked for once, the oldest first
	lives     []time.Duration     // of codes, in turns
	made      int
	ledger    *ledger
	random    *rand.Rand
}

// newFixture adds the hot codes to authentik: some have expired, and some expire at ends. The same seed
// gives the same order.
func newFixture(authentik *upstreamtest.Authentik, ends time.Time, seed uint64) *fixture {
	f := &fixture{
		authentik: authentik,
		callers:   callers(),
		lives:     []time.Duration{-time.Hour, time.Until(ends), time.Hour, 2 * time.Hour, 3 * time.Hour},
		ledger:    newLedger(),
		random:    rand.New(rand.NewPCG(1, seed)), //nolint:gosec // repeatable on purpose
	}
	for range hotCodes {
		f.hot = append(f.hot, f.add())
	}
	return f
}

// add adds a code to authentik. Alice and bob own codes in turns.
func (f *fixture) add() upstreamtest.Code {
	c := upstreamtest.Code{Owner: f.callers[f.made%2].name, Expires: time.Now().Add(f.lives[f.made%len(f.lives)])}
	f.made++
	c, _ = f.authentik.Code(f.authentik.AddCode(c)) // as it was stored
	f.ledger.add(c)
	return c
}

// newCode returns a code that was never asked for. The oldest beyond maxOnce is redeemed.
func (f *fixture) newCode() upstreamtest.Code {
	f.once = append(f.once, f.add())
	if len(f.once) > maxOnce {
		f.redeem(f.once[0].PK)
		f.once = f.once[1:]
	}
	return f.once[len(f.once)-1]
}

// redeem removes a code from authentik without the service.
func (f *fixture) redeem(pk int32) {
	f.ledger.markLeaving(pk)
	f.authentik.RemoveCode(pk)
	f.ledger.markGone(pk)
}

// next picks a lookup. One in twenty is for a new code, which no cache can answer, and one in forty for
// another caller's, which must be refused. A third of the rest are the superuser's, so that two callers
// have the same code in the cache.
func (f *fixture) next() lookup {
	n := f.random.IntN(120)
	kind, code := kindHot, f.hot[f.random.IntN(len(f.hot))]
	if n < 6 {
		kind, code = kindNew, f.newCode()
	}
	owner, other, root := f.callers[0], f.callers[1], f.callers[2]
	if code.Owner != owner.name {
		owner, other = other, owner
	}
	switch {
	case n >= 6 && n < 9:
		return lookup{kind: kindForeign, caller: other, code: code}
	case n%3 == 0:
		return lookup{kind: kind, caller: root, code: code}
	}
	return lookup{kind: kind, caller: owner, code: code}
}

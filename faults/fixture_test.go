//go:build linux

package faults

import (
	"math/rand/v2"
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

// ask is one request: somebody asks for a code.
type ask struct {
	caller caller
	code   upstreamtest.Code
}

// foreign tells whether authentik refuses the code to the caller, as if there were none.
func (a ask) foreign() bool { return !a.caller.superuser && a.caller.name != a.code.Owner }

const (
	hotCodes = 20
	// newCodes are enough for the longest row: see [fixture.next] for how often one is taken.
	newCodes = 500
)

// fixture is what there is to ask for, and the order in which it is asked.
type fixture struct {
	callers []caller
	hot     []upstreamtest.Code // asked for again and again
	unasked []upstreamtest.Code // taken from the front, each asked for once
	random  *rand.Rand          // seeded with a constant: every run asks in the same order
}

// newFixture adds the codes to authentik. Some of the hot ones have expired, and some do at ends.
func newFixture(authentik *upstreamtest.Authentik, ends time.Time) *fixture {
	f := &fixture{
		callers: callers(),
		random:  rand.New(rand.NewPCG(1, 2)), //nolint:gosec // repeatable on purpose
	}
	now := time.Now()
	expires := []time.Time{now.Add(-time.Hour), ends, now.Add(time.Hour), now.Add(2 * time.Hour), now.Add(3 * time.Hour)}
	for i := range hotCodes + newCodes {
		c := upstreamtest.Code{Owner: f.callers[i%2].name, Expires: expires[i%len(expires)]}
		c, _ = authentik.Code(authentik.AddCode(c)) // as it was stored
		if i < hotCodes {
			f.hot = append(f.hot, c)
		} else {
			f.unasked = append(f.unasked, c)
		}
	}
	return f
}

// next picks what to ask for. One request in twenty asks for a code that nobody asked for before,
// which no cache can answer, and one in forty for another's, which nobody may answer. A third of
// the rest are the superuser's, so that two callers have the same code in the cache.
func (f *fixture) next() ask {
	n := f.random.IntN(120)
	code := f.hot[f.random.IntN(len(f.hot))]
	if n < 6 && len(f.unasked) > 0 {
		code, f.unasked = f.unasked[0], f.unasked[1:]
	}
	owner, other, root := f.callers[0], f.callers[1], f.callers[2]
	if code.Owner != owner.name {
		owner, other = other, owner
	}
	switch {
	case n >= 6 && n < 9:
		return ask{other, code}
	case n%3 == 0:
		return ask{root, code}
	}
	return ask{owner, code}
}

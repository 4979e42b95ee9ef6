package upstreamtest

import (
	"context"
	"sync"
	"time"
)

// The ids of the demo that do not come and go.
const (
	// DemoAlice and DemoBob are codes that stay valid: they expire in 2099, so
	// that the row never changes, as no row of authentik's ever does.
	DemoAlice int32 = 17
	DemoBob   int32 = 18
	// DemoUnknown is the id of no code.
	DemoUnknown int32 = 404
	// DemoFirst is the first id of the codes that come and go.
	DemoFirst int32 = 1000
)

// The life of the codes that come and go.
const (
	demoEvery    = 5 * time.Second // between two new codes
	demoValidity = time.Minute     // authentik's default
	demoHistory  = 5 * time.Minute // how long before the start the first was made
	demoCleanup  = 5 * time.Minute // between two cleanups
	demoTick     = time.Second
	// Every demoRedeemed-th code is redeemed, none before demoPatience.
	demoRedeemed = 7
	demoPatience = 20 * time.Second
)

// DemoFaults returns the ids that answer every caller with a fault.
func DemoFaults() map[int32]Fault {
	return map[int32]Fault{
		200: HTML200,
		400: BadRequest400,
		401: TokenInvalid403,
		403: Forbidden403,
		429: Throttled429,
		500: Error500,
		503: Starting503JSON,
		504: Hang,
	}
}

// Demo is an authentik with a life of its own: every few seconds a code is made,
// in turn for alice and bob. It is valid for a minute and seen as expired until
// the cleanup at minute 2, 7, 12 and so on; a few are redeemed before. At the
// start there are codes of every age.
type Demo struct {
	*Authentik

	mu    sync.Mutex
	epoch time.Time       // when DemoFirst was made
	next  int32           // number of the next code to make
	alive map[int32]birth // by number
}

// birth says when a code was made and when its row goes.
type birth struct{ made, gone time.Time }

// NewDemo returns a demo in its first moment. It stands still, apart from the
// clock, until Run is called.
func NewDemo(o Options) *Demo {
	d := &Demo{Authentik: New(o), alive: map[int32]birth{}}
	forever := time.Date(2099, time.December, 31, 23, 59, 59, 0, time.UTC)
	d.AddCode(Code{PK: DemoAlice, Owner: UserAlice, Expires: forever, Scope: []string{"openid", "email", "profile"}})
	d.AddCode(Code{PK: DemoBob, Owner: UserBob, Provider: ProviderMobile, Expires: forever, Scope: []string{"openid"}})
	for pk, fault := range DemoFaults() {
		d.SetFault(pk, fault)
	}
	now := d.options.Now()
	d.epoch = now.Add(-demoHistory)
	d.Step(now)
	return d
}

// Run lets the demo live until ctx ends, then ends requests that hang.
func (d *Demo) Run(ctx context.Context) {
	defer d.Close()
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.Step(d.options.Now())
		}
	}
}

// Step brings the demo to now. What exists afterwards depends on now alone, and
// on what was deleted through the API; how often Step is called in between does
// not matter. Run calls it; tests with a clock of their own may.
func (d *Demo) Step(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n, b := range d.alive {
		if !now.Before(b.gone) {
			d.RemoveCode(DemoFirst + n)
			delete(d.alive, n)
		}
	}
	// After a long sleep of the machine, skip those that came and went unseen.
	oldest := now.Add(-demoValidity - demoCleanup)
	d.next = max(d.next, int32(oldest.Sub(d.epoch)/demoEvery))
	for ; !d.made(d.next).After(now); d.next++ {
		b := birth{made: d.made(d.next), gone: d.gone(d.next)}
		if now.Before(b.gone) {
			d.AddCode(demoCode(d.next, b.made))
			d.alive[d.next] = b
		}
	}
}

// Newest returns the id of the code that was made last, alice's if it is even.
func (d *Demo) Newest() int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return DemoFirst + d.next - 1
}

// made is when the nth code is made.
func (d *Demo) made(n int32) time.Time { return d.epoch.Add(time.Duration(n) * demoEvery) }

// gone is when the row of the nth code goes: on redemption, or with the first
// cleanup after it has expired.
func (d *Demo) gone(n int32) time.Time {
	if n%demoRedeemed == demoRedeemed-1 {
		return d.made(n).Add(demoPatience + time.Duration(n%3)*10*time.Second)
	}
	expires := d.made(n).Add(demoValidity)
	// Cleanups are five minutes apart, the first of an hour at minute 2.
	const offset = 2 * time.Minute
	cleanup := expires.Add(-offset).Truncate(demoCleanup).Add(offset)
	if cleanup.Before(expires) {
		cleanup = cleanup.Add(demoCleanup)
	}
	return cleanup
}

func demoCode(n int32, made time.Time) Code {
	c := Code{
		PK: DemoFirst + n, Owner: UserAlice, Provider: ProviderGrafana, Expires: made.Add(demoValidity),
		// The order of scopes is arbitrary in authentik as well.
		Scope: [][]string{{"openid", "profile", "email"}, {"email", "openid", "profile"}, {"profile", "email", "openid"}}[n%3],
	}
	if n%2 == 1 {
		c.Owner = UserBob
	}
	if n%4 >= 2 {
		c.Provider = ProviderMobile
	}
	return c
}

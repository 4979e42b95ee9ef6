package upstreamtest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// The ids of the demo that do not come and go. They mean the same for codes,
// access tokens and refresh tokens.
const (
	// DemoAlice and DemoBob are rows that stay valid: they expire in 2099, so
	// that the row never changes, as no row of authentik's ever does but by
	// being revoked.
	DemoAlice int32 = 17
	DemoBob   int32 = 18
	// DemoHistory is the first id of the rows from before the start that the
	// cleanup leaves alone, so that every list has several pages at any time.
	// Even ones are alice's, odd ones bob's.
	DemoHistory int32 = 20
	// DemoUnknown is the id of no row.
	DemoUnknown int32 = 404
	// DemoFirst is the first id of the rows that come and go.
	DemoFirst int32 = 1000
)

// DemoFaults returns the ids that answer every caller with a fault, whatever the
// resource.
func DemoFaults() map[int32]Fault {
	return map[int32]Fault{
		200: HTML200,
		400: BadRequest400,
		401: TokenInvalid403,
		403: Forbidden403,
		429: Throttled429,
		500: Error500,
		503: NotReady503,
		504: Hang,
	}
}

// Demo is an authentik with a life of its own: every few seconds a code is made,
// in turn for alice and bob. It is valid for a minute and seen as expired until
// the next cleanup, one every five minutes. A few are redeemed before: the code
// goes, an access token and a refresh token come. The access token stays until
// the cleanup after its hour, the refresh token until its session ends; some are
// revoked on the way. At the start there are rows of every age.
//
// Each user may delete the rows they see, and none but the superuser may view
// providers, unless Options.Permissions says otherwise.
type Demo struct {
	*Authentik

	mu    sync.Mutex
	lives []*life
}

// NewDemo returns a demo in its first moment, of release R2026_8 if none is given.
// It stands still, apart from the clock, until Run is called.
func NewDemo(o Options) *Demo {
	o.Release = cmp.Or(o.Release, R2026_8)
	if o.Permissions == nil {
		o.Permissions = map[string][]string{UserAlice: deletePermissions(), UserBob: deletePermissions()}
	}
	d := &Demo{Authentik: New(o)}
	now := d.options.Now()
	forever := time.Date(2099, time.December, 31, 23, 59, 59, 0, time.UTC)
	for _, resource := range Resources() {
		d.add(resource, row{Code: Code{PK: DemoAlice, Owner: UserAlice, Expires: forever, Scope: []string{"openid", "email", "profile"}}})
		d.add(resource, row{Code: Code{PK: DemoBob, Owner: UserBob, Provider: ProviderMobile, Expires: forever, Scope: []string{"openid"}}})
		for n := range int32(demoHistoryRows) {
			d.add(resource, demoHistoryRow(resource, n, now))
		}
		for pk, fault := range DemoFaults() {
			d.SetResourceFault(resource, pk, fault)
		}
	}
	d.lives = newLives(now.Add(-demoHeadStart))
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
	for _, l := range d.lives {
		l.step(d.Authentik, now)
	}
}

// Newest returns the id of the code that was made last, alice's if it is even.
func (d *Demo) Newest() int32 { return d.NewestOf(AuthorizationCodes) }

// NewestOf returns the id of the row that was made last, alice's if it is even.
func (d *Demo) NewestOf(resource Resource) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.lives, func(l *life) bool { return l.resource == resource })
	return DemoFirst + d.lives[i].next - 1
}

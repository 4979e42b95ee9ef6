package upstreamtest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Options choose the authentik to play. The zero value is a good one.
type Options struct {
	// Release is the release to play, R2026_2 if empty.
	Release Release
	// Now is the clock by which codes expire, time.Now if nil.
	Now func() time.Time
	// PathPrefix is authentik's web.path setting without a slash at its end,
	// as in "/auth". Paths outside it are the router's text/plain 404.
	PathPrefix string
	// OnRequest, if set, sees every request before it is answered. It may be
	// called by several goroutines at once and must not keep the request.
	OnRequest func(*http.Request)
}

// Code is a row of authentik's table of authorization codes.
type Code struct {
	// PK is the id of the row; 0 asks AddCode for the next free one.
	PK int32
	// Owner is the username of one of the world's users.
	Owner string
	// Provider is one of the Provider constants, ProviderGrafana if 0.
	Provider int32
	// Expires is the end of validity; the zero time is sent as null. Note that
	// releases up to 2024.12 answer 500 for such a row unless NeverExpires is
	// set too.
	Expires time.Time
	// NeverExpires is the opposite of authentik's hidden column "expiring": if
	// set, is_expired stays false whatever Expires says.
	NeverExpires bool
	// Scope lists what was granted.
	Scope []string
}

// expired is what is_expired says at now.
func (c Code) expired(now time.Time) bool {
	return !c.NeverExpires && !c.Expires.IsZero() && now.After(c.Expires)
}

// Authentik is the fake. Its methods may be called while it serves.
type Authentik struct {
	options Options
	world   *world

	mu       sync.Mutex
	codes    map[int32]Code
	nextPK   int32
	faults   map[int32]Fault
	latency  time.Duration
	tally    tally
	conns    connCounter
	inFlight map[int]context.CancelFunc
	serial   int
	closed   bool
}

var _ http.Handler = (*Authentik)(nil)

// New returns an authentik without codes. It starts no goroutine. An unknown
// release is a programming error and panics.
func New(o Options) *Authentik {
	if o.Release == "" {
		o.Release = R2026_2
	}
	if !o.Release.valid() {
		panic(fmt.Sprintf("upstreamtest: unknown release %q", o.Release))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Authentik{
		options:  o,
		world:    newWorld(),
		codes:    map[int32]Code{},
		nextPK:   1,
		faults:   map[int32]Fault{},
		tally:    newTally(),
		conns:    connCounter{},
		inFlight: map[int]context.CancelFunc{},
	}
}

// AddCode adds a row, replacing one with the same PK, and returns its PK. An
// owner or provider the world does not know is a programming error and panics.
func (a *Authentik) AddCode(c Code) int32 {
	if c.Provider == 0 {
		c.Provider = ProviderGrafana
	}
	if a.world.named(c.Owner) == nil || a.world.provider(int64(c.Provider)) == nil {
		panic(fmt.Sprintf("upstreamtest: code of unknown owner %q or provider %d", c.Owner, c.Provider))
	}
	c.Expires = c.Expires.Truncate(time.Microsecond)
	c.Scope = list(c.Scope)
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.PK == 0 {
		c.PK = a.nextPK
	}
	// As in a database sequence, the id of a removed row is not given again.
	a.nextPK = max(a.nextPK, c.PK+1)
	a.codes[c.PK] = c
	return c.PK
}

// RemoveCode removes a row, as its redemption or the cleanup would.
func (a *Authentik) RemoveCode(pk int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.codes, pk)
}

// Code returns the row with that id. Its Scope must not be modified.
func (a *Authentik) Code(pk int32) (Code, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.codes[pk]
	return c, ok
}

// What a fault can be set for, besides the id of a code.
const (
	AllRequests    int32 = 0  // every request of the API, list included
	HealthRequests int32 = -1 // the two health pages
)

// SetFault makes requests for that id fail, whoever sends them and whether or
// not the row exists. A fault of an id goes before that of AllRequests. The zero
// Fault ends it.
func (a *Authentik) SetFault(pk int32, f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.Serve == nil {
		delete(a.faults, pk)
		return
	}
	a.faults[pk] = f
}

// ClearFaults ends all faults.
func (a *Authentik) ClearFaults() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.faults)
}

// SetLatency makes every answer of the API wait that long before it begins.
func (a *Authentik) SetLatency(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latency = d
}

// Close ends requests that hang or wait, so that a server can shut down.
// Afterwards answers are given as before, but none waits or hangs.
func (a *Authentik) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, cancel := range a.inFlight {
		cancel()
	}
}

// ServeHTTP answers as authentik would, or as the fault in force does.
func (a *Authentik) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.options.OnRequest != nil {
		a.options.OnRequest(r)
	}
	t := a.locate(r.URL.Path)
	ctx, fault, latency, done := a.begin(r, t)
	defer done()
	r = r.WithContext(ctx)
	wait(ctx, latency)
	if fault.Serve != nil {
		fault.Serve(w, r, http.HandlerFunc(a.serve))
		return
	}
	a.serve(w, r)
}

// serve gives the proper answer.
func (a *Authentik) serve(w http.ResponseWriter, r *http.Request) {
	a.write(w, r, a.answer(r))
}

// begin enters the request in the books and looks up what stands in its way.
// The context ends with the request or with Close; done must be called.
func (a *Authentik) begin(r *http.Request, t target) (ctx context.Context, f Fault, latency time.Duration, done func()) {
	ctx, cancel := context.WithCancel(r.Context())
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx = withConnRequests(ctx, a.conns.count(r.RemoteAddr))
	if a.closed {
		cancel()
	}
	a.serial++
	id := a.serial
	a.inFlight[id] = cancel
	done = func() {
		cancel()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.inFlight, id)
	}
	switch t.place {
	case atHealth:
		f = a.faults[HealthRequests]
	case atList, atObject:
		a.tally.count(r.Method, t)
		latency = a.latency
		f = a.faults[AllRequests]
		if own, ok := a.faults[t.pk]; ok && t.pk > 0 {
			f = own
		}
	}
	return ctx, f, latency, done
}

// wait returns after d or when ctx ends, whichever is first.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

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
	// called by several goroutines at once and must not keep the request. It may
	// call the methods of the fake, to add and remove rows between two pages for
	// one.
	OnRequest func(*http.Request)
	// Permissions gives users of the world permissions besides those they have, by
	// username. A global one is its name, such as "delete_accesstoken" or
	// "view_oauth2provider"; see [Resource.DeletePermission] and [ViewProvider]. One
	// on a single provider has the primary key after a colon, as in
	// "view_oauth2provider:2".
	Permissions map[string][]string
	// PageSize and MaxPageSize are the tenant's settings for the default and the
	// largest size of a page, 20 and 100 if 0. Releases up to 2025.8 have no such
	// settings and ignore them.
	PageSize, MaxPageSize int
}

// Authentik is the fake. Its methods may be called while it serves.
type Authentik struct {
	options Options
	world   *world

	mu           sync.Mutex
	tables       map[Resource]*table
	providers    map[int32]*provider // what they point to never changes
	nextProvider int32
	faults       map[rowKey]Fault
	latency      time.Duration
	tally        tally
	conns        connCounter
	inFlight     map[int]context.CancelFunc
	serial       int
	closed       bool
}

var _ http.Handler = (*Authentik)(nil)

// New returns an authentik without codes or tokens. It starts no goroutine. An
// unknown release or user is a programming error and panics.
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
	a := &Authentik{
		options:   o,
		world:     newWorld(o.Permissions),
		tables:    newTables(),
		providers: map[int32]*provider{},
		faults:    map[rowKey]Fault{},
		tally:     newTally(),
		conns:     connCounter{},
		inFlight:  map[int]context.CancelFunc{},
	}
	for _, p := range providers() {
		a.providers[p.pk] = &p
		a.nextProvider = max(a.nextProvider, p.pk+1)
	}
	return a
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

// begin counts the request and looks up its fault and its delay.
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
	if t.place == atList || t.place == atObject {
		a.tally.count(r.Method, t)
		latency = a.latency
	}
	if t.place != elsewhere && t.place != outside {
		f = a.fault(t)
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

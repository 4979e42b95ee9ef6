package graph

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/internal/responsecache"
	"authentik-graphql/internal/telemetry/spans"
	"authentik-graphql/upstream"
)

// Request is the state of one HTTP request: what the HTTP layer knows before the operation is executed,
// and what the operation leaves behind for headers and the log. It is safe for concurrent use.
type Request struct {
	// ID is quoted in errors, in the response's X-Request-ID and in the log.
	ID string
	// Start is when the request's headers had been read.
	Start time.Time
	// Caller is whose credential goes to authentik. It is zero if the request brought none that is usable.
	grants.Caller
	// CallerName is the caller's name in service mode, for the log.
	CallerName string
	// ReadOnly refuses mutations, whatever the credential would allow.
	ReadOnly bool

	// responseBytes counts what is in the response; response is the memory reserved for it.
	responseBytes atomic.Int64
	response      reservation
	stopReason    atomic.Int32

	// listCalls counts the calls to authentik that the request's lists took. Two lists are read at a
	// time, so that the calls of those before are counted.
	listCalls atomic.Int64
	listSlots [2]sync.Mutex
	listTurns atomic.Uint32

	unread atomic.Bool // whether the response shows a provider that is to be read

	mu    sync.Mutex
	reads map[readKey]*read
	// providerReads states how fresh the providers are that were read, and the refusals.
	providerReads []grants.Freshness
	facts         Facts
	replayable    bool
}

// Facts is what an operation leaves behind.
type Facts struct {
	// OperationType is query or mutation, empty if no operation was found.
	OperationType string
	// OperationName is the client's, cut to 64 letters, digits and underscores.
	OperationName string
	// ErrorCodes are the codes of the response's errors, in order and at most eight.
	ErrorCodes []string
	// Err is the first cause that is a failure of this service or of authentik.
	Err error
	// UpstreamStatus is authentik's HTTP status, 0 if it was not called or did not answer.
	UpstreamStatus int
	// AuthentikID is authentik's id of its request.
	AuthentikID string
	// CacheStatus is the response's Cache-Status without the cache's name.
	CacheStatus string
	// Replayed reports that a cached response answered the request.
	Replayed bool
}

var _ responsecache.Request = (*Request)(nil)

type requestKey struct{}

// NewContext returns a context that carries r.
func NewContext(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// FromContext returns the context's Request, or a new one.
func FromContext(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// Facts returns a copy of what is known so far.
func (r *Request) Facts() Facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts
}

// NoteUpstream records a response of authentik.
func (r *Request) NoteUpstream(status int, authentikID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.UpstreamStatus, r.facts.AuthentikID = status, authentikID
}

func (r *Request) noteOperation(kind, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.OperationType, r.facts.OperationName = kind, cleanName(name)
}

// noteError records an error that goes to the client and, for the log, its cause.
func (r *Request) noteError(code string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.facts.ErrorCodes) < 8 {
		r.facts.ErrorCodes = append(r.facts.ErrorCodes, code)
	}
	if isFailure(code) && !errors.Is(cause, context.Canceled) { // the client left
		r.noteCause(cause)
	}
	r.noteStatus(cause)
}

// noteStale records, for the log, the failure of authentik that a stale value hides from the client.
func (r *Request) noteStale(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteCause(cause)
	r.noteStatus(cause)
}

func (r *Request) noteCause(cause error) {
	if r.facts.Err == nil {
		r.facts.Err = cause
	}
}

func (r *Request) noteStatus(cause error) {
	if e, ok := errors.AsType[*upstream.Error](cause); ok && e.Status != 0 {
		r.facts.UpstreamStatus, r.facts.AuthentikID = e.Status, e.AuthentikID
	}
}

// stop ends the making of the response. The first reason counts.
func (r *Request) stop(reason stopReason) {
	r.stopReason.CompareAndSwap(int32(notStopped), int32(reason))
}

func (r *Request) stopped() stopReason { return stopReason(r.stopReason.Load()) }

// read returns the request's one read of a key, nil if it would be one more than the limit. A cached value
// counts as well, so that the same operation fails or not whatever others read before.
func (r *Request) read(key readKey, limit int) *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads == nil {
		r.reads = map[readKey]*read{}
	}
	shared, ok := r.reads[key]
	if !ok && len(r.reads) >= limit {
		return nil
	}
	if !ok {
		shared = &read{}
		r.reads[key] = shared
	}
	return shared
}

// listSlot waits for one of the slots, in turn, and takes it.
func (r *Request) listSlot() *sync.Mutex {
	slot := &r.listSlots[r.listTurns.Add(1)%uint32(len(r.listSlots))]
	slot.Lock()
	return slot
}

// noteProviders records reads of providers. A refusal determines the response as much as a value.
func (r *Request) noteProviders(reads []grants.ProviderRead) {
	for _, read := range reads {
		if read.Cause != nil {
			r.noteStale(read.Cause)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, read := range reads {
		if !read.FreshUntil.IsZero() {
			r.providerReads = append(r.providerReads, read.Freshness)
		}
	}
}

// audiences are the client ids that the tokens of the request name, by the provider. It is nil for a provider of
// which they name several.
func (r *Request) audiences() map[upstream.PK]*string {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[upstream.PK]*string{}
	for g := range r.grants() {
		if g.Provider == nil || g.Provider.Audience == nil {
			continue
		}
		pk, aud := g.Provider.PK, g.Provider.Audience
		if other, ok := found[pk]; ok && (other == nil || *other != *aud) {
			aud = nil
		}
		found[pk] = aud
	}
	return found
}

// lacksProviders reports whether anything that was read has a provider that may have to be read by itself.
func (r *Request) lacksProviders() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unread.Load() {
		return true
	}
	for g := range r.grants() {
		if g.Provider != nil && g.Provider.Partial {
			return true
		}
	}
	return false
}

// grants yields all grants that were read, in any order. It is called with mu held.
func (r *Request) grants() iter.Seq[*upstream.Grant] {
	return func(yield func(*upstream.Grant) bool) {
		for _, read := range r.reads {
			var all []*upstream.Grant
			switch got := read.value.(type) {
			case GrantRead:
				all = []*upstream.Grant{got.Value}
			case ListRead:
				all = got.Value.Rows
			case grants.Read[grants.Revocation]:
				if got.Value.Grant != nil {
					all = []*upstream.Grant{got.Value.Grant.Value}
				}
			}
			for _, g := range all {
				if !yield(g) {
					return
				}
			}
		}
	}
}

// setFreshness sets Cache-Control and Age (RFC 9111) and Cache-Status (RFC 9211) by what was read for the
// response. A response that is stale, has an error, or shows no value must not be stored. It returns
// extensions.cache, nil if nothing is stale.
func (r *Request) setFreshness(h http.Header, failed bool, now time.Time) *staleness {
	h["Cache-Control"] = []string{"no-store"}
	h["Vary"] = append(h["Vary"], vary)
	r.mu.Lock()
	defer r.mu.Unlock()
	read, ok := r.freshness()
	if !ok {
		return nil
	}
	r.facts.CacheStatus = stateAge(h, read, now)
	switch {
	case read.Stale != grants.NotStale:
		return &staleness{Status: "STALE", Age: ageOf(read, now), Reason: read.Stale}
	case !failed:
		h["Cache-Control"] = []string{maxAge(read, now)}
	}
	return nil
}

// freshness is that of the response: the age of the least fresh grant, or provider if there is no grant, and the
// end of the first that stops being fresh. One that is stale makes the response stale. ok is false if nothing was
// read. It is called with mu held.
func (r *Request) freshness() (f grants.Freshness, ok bool) {
	of := func(all []grants.Freshness) {
		for _, read := range all {
			if !ok || lessFresh(read, f) {
				f, ok = read, true
			}
		}
	}
	var shown []grants.Freshness
	for _, read := range r.reads {
		if read.shown() {
			shown = append(shown, read.freshness)
		}
	}
	of(shown)
	if !ok {
		of(r.providerReads)
	}
	for _, p := range r.providerReads {
		if f.Stale == grants.NotStale {
			f.Stale = p.Stale
		}
		if p.FreshUntil.Before(f.FreshUntil) {
			f.FreshUntil = p.FreshUntil
		}
	}
	return f, ok
}

// CallerDigest implements [responsecache.Request].
func (r *Request) CallerDigest() grants.Digest { return r.Digest }

// allowReplay records whether the operation allows its response to be replayed.
func (r *Request) allowReplay(allowed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replayable = allowed
}

// Provenance implements [responsecache.Request]. It is nil if a read gave something stale or nothing. It is
// also nil if a value was loaded for this request, which may never be repeated: responses that nothing
// asks for again would evict those in use.
func (r *Request) Provenance() *responsecache.Provenance {
	r.mu.Lock()
	defer r.mu.Unlock()
	least, ok := r.freshness()
	if !r.replayable || !ok {
		return nil
	}
	all := slices.Clone(r.providerReads)
	for _, read := range r.reads {
		all = append(all, read.freshness)
	}
	p := &responsecache.Provenance{
		FetchedAt: least.FetchedAt, FreshUntil: least.FreshUntil,
		Dependencies:  make([]grants.Dependency, 0, len(all)),
		OperationType: r.facts.OperationType, OperationName: r.facts.OperationName,
	}
	for _, read := range all {
		if read.FreshUntil.IsZero() || read.Stale != grants.NotStale || !read.Cached {
			return nil
		}
		p.Dependencies = append(p.Dependencies, read.Dependency)
	}
	return p
}

// Replay implements [responsecache.Request].
func (r *Request) Replay(h http.Header, p *responsecache.Provenance, now time.Time) {
	read := grants.Freshness{FetchedAt: p.FetchedAt, FreshUntil: p.FreshUntil, Cached: true}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.OperationType, r.facts.OperationName = p.OperationType, p.OperationName
	r.facts.CacheStatus, r.facts.Replayed = stateAge(h, read, now), true
	h["Cache-Control"] = []string{maxAge(read, now)}
}

// end ends the span of the request's operation. An error that is the client's, or about what it asked
// for, is no failure.
func (r *Request) end(span trace.Span) {
	if !span.IsRecording() {
		return
	}
	defer span.End()
	codes := r.Facts().ErrorCodes
	switch {
	case len(codes) == 0:
	case isFailure(codes[0]):
		spans.Fail(span, codes[0])
	default:
		span.SetAttributes(semconv.ErrorTypeKey.String(codes[0]))
	}
}

// isFailure reports whether an error is a failure of this service or of authentik. The client's own
// errors are not logged: they may repeat what it sent.
func isFailure(code string) bool {
	switch code {
	case apierror.Internal, apierror.UpstreamError, apierror.UpstreamUnavailable, apierror.GatewayTimeout, apierror.InvalidResponse:
		return true
	}
	return false
}

// cleanName makes an operation name, which is the client's text, fit for a log.
func cleanName(name string) string {
	b := make([]byte, 0, min(len(name), 64))
	for i := 0; i < len(name) && len(b) < 64; i++ {
		switch c := name[i]; {
		case c == '_', '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			b = append(b, c)
		}
	}
	return string(b)
}

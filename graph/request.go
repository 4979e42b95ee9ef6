package graph

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// Request holds the facts of one HTTP request: what the HTTP layer knows before the operation runs
// and what the operation leaves behind for headers and the log line. It is safe for concurrent use.
type Request struct {
	// ID is quoted in errors, in the answer's X-Request-ID and in the log.
	ID string
	// Caller is whose credential goes to authentik. It is zero if the request brought none that is usable.
	grants.Caller
	// CallerName is the caller's name in service mode, for the log.
	CallerName string
	// ReadOnly refuses mutations, whatever the credential would allow.
	ReadOnly bool

	// answerBytes counts what is in the answer, answer is its part of what all answers may hold, and
	// cut is why the rest is not made.
	answerBytes atomic.Int64
	answer      hold
	cut         atomic.Int32
	listTurns   atomic.Uint32
	// listCalls counts the calls to authentik that the request's lists took.
	listCalls atomic.Int64
	// listSlots let two of the request's lists be read at a time, so that the calls of those before
	// are counted; listTurns says which is next.
	listSlots [2]sync.Mutex

	mu         sync.Mutex
	reads      map[readKey]*read
	facts      Facts
	replayable bool
}

// Facts is what an operation leaves behind.
type Facts struct {
	// OperationType is query or mutation, empty if no operation was found.
	OperationType string
	// OperationName is the client's, cut to 64 letters, digits and underscores.
	OperationName string
	// ErrorCodes are the codes of the answer's errors, in order and at most eight.
	ErrorCodes []string
	// Err is the first cause that is a failure of this service or of authentik.
	Err error
	// UpstreamStatus is authentik's HTTP status, 0 if it was not asked or did not answer.
	UpstreamStatus int
	// AuthentikID is authentik's id of its request.
	AuthentikID string
	// CacheStatus is the answer's Cache-Status without the cache's name.
	CacheStatus string
	// Replayed reports that a cached response answered the request.
	Replayed bool
}

type requestKey struct{}

// NewContext returns a context that carries r.
func NewContext(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// FromContext returns the context's Request, or an empty one that nobody reads.
func FromContext(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// listSlot waits for one of the slots, in turn, and takes it.
func (r *Request) listSlot() *sync.Mutex {
	slot := &r.listSlots[r.listTurns.Add(1)%uint32(len(r.listSlots))]
	slot.Lock()
	return slot
}

// Facts returns a copy of what is known so far.
func (r *Request) Facts() Facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts
}

// NoteUpstream records an answer of authentik.
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
	if r.facts.Err == nil && worthLogging(code) && !errors.Is(cause, context.Canceled) { // the client left
		r.facts.Err = cause
	}
	if e, ok := errors.AsType[*upstream.Error](cause); ok && e.Status != 0 {
		r.facts.UpstreamStatus, r.facts.AuthentikID = e.Status, e.AuthentikID
	}
}

// noteStale records, for the log, the failure of authentik that a stale answer hides from the client.
func (r *Request) noteStale(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.facts.Err == nil {
		r.facts.Err = cause
	}
	if e, ok := errors.AsType[*upstream.Error](cause); ok && e.Status != 0 {
		r.facts.UpstreamStatus, r.facts.AuthentikID = e.Status, e.AuthentikID
	}
}

// worthLogging tells the failures of this service and of authentik from those of the client, whose
// errors may repeat what it sent.
func worthLogging(code string) bool {
	switch code {
	case apierror.Internal, apierror.UpstreamError, apierror.UpstreamUnavailable, apierror.GatewayTimeout, apierror.InvalidResponse:
		return true
	}
	return false
}

// cleanName makes an operation name fit for a log: it is the client's text.
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

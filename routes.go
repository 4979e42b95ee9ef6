package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rs/cors"

	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/telemetry"
	"authentik-graphql/upstream"
)

// headerSlack is how far headers may exceed their limits and still get an answer that names them.
// net/http itself ends the connection of what is larger, with a bare 431.
const headerSlack = 16 << 10

const graphqlPath = "/graphql"

// routes makes the public handler. The order, outermost first: trace, request id, log line, recovery and
// body limit, deadline, CORS, cross-origin protection, rate limit, header limits, response cache.
// Nothing reads the body before its limit.
func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(graphqlPath, s.protect(s.limiter.handler(graph.CheckHead(s.responses.Middleware(s.graphql)))))
	if s.playground != nil {
		mux.Handle("/{$}", s.playground)
		mux.Handle("/playground/", s.playground)
	}
	if s.options.dashboard != nil {
		mux.Handle("/dashboard", s.options.dashboard)
		mux.Handle("/dashboard/", s.options.dashboard)
	}
	addProbes(mux, s.readyz)
	return s.traces.Handler(graphqlPath, s.observe(mux))
}

func addProbes(mux *http.ServeMux, readyz http.HandlerFunc) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", readyz)
}

// readyz tells whether this process wants requests. Redis or authentik being down makes nobody
// unready: answers say what is wrong, and taking every replica out helps no one.
func (s *service) readyz(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		plain(w, http.StatusServiceUnavailable, "draining")
		return
	}
	plain(w, http.StatusOK, "ready")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// protect lets web pages of other origins in only where ALLOWED_ORIGINS names them.
func (s *service) protect(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range s.cfg.AllowedOrigins {
		_ = protection.AddTrustedOrigin(origin) // checked with the settings
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		graph.WriteError(w, r, apierror.New(apierror.Forbidden, "Requests from other origins need to be allowed by ALLOWED_ORIGINS."))
	}))
	h := protection.Handler(next)
	if len(s.cfg.AllowedOrigins) == 0 { // rs/cors takes an empty list for "everybody"
		return h
	}
	return cors.New(cors.Options{
		AllowedOrigins: s.cfg.AllowedOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Apollo-Require-Preflight", "X-Apollo-Operation-Name", "X-Request-ID", "traceparent", "tracestate"},
		ExposedHeaders: []string{"X-Request-ID", "Age", "Cache-Status", "Retry-After"},
		MaxAge:         600,
	}).Handler(h)
}

// limitBody bounds the body of a copy of a request. It must see net/http's own ResponseWriter: only
// then does a body over the limit also end the connection, instead of being read to its end. And
// net/http's own Request must keep its body: only then is a client that waits to be asked for the body
// (Expect: 100-continue) refused without it, instead of after the 10 seconds that reading a request may
// take.
func (s *service) limitBody(w http.ResponseWriter, copied *http.Request) {
	copied.Body = http.MaxBytesReader(w, copied.Body, int64(s.cfg.Body))
	if len(copied.TransferEncoding) > 0 {
		// A request may have had a Content-Length as well, which net/http drops. A proxy in front
		// that went by it takes the rest for a request of another client: its connection ends
		// here (RFC 9112, section 6.1).
		w.Header()["Connection"] = []string{"close"}
	}
}

// exchange is a request and the writer of its answer, which remembers the status for the log.
type exchange struct {
	http.ResponseWriter
	conns  *connectionLimit
	req    graph.Request
	start  time.Time
	status int
	// lines are of the header fields that each answer has.
	lines [2]string
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
		x.conns.endIfAsked(x.Header())
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// observe gives the request its id, its caller, their credential and the limit of its body, and logs
// one line when it is answered. A request ends before the connection's write deadline, so that there is
// always an answer: the time that its body takes counts.
func (s *service) observe(next http.Handler) http.Handler {
	limit := bounded(s.cfg.OperationTimeout)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, conns: s.conns, start: time.Now()}
		x.req.ID = requestID(r.Header["X-Request-Id"])
		who := s.callers.Identify(upstream.ParseAuthorization(r.Header))
		x.req.Credential, x.req.CallerName, x.req.ReadOnly = who.Credential, who.Name, who.ReadOnly
		if !x.req.Credential.IsZero() {
			x.req.Digest = s.digester.Digest(x.req.Credential)
		}
		x.lines = [2]string{x.req.ID, "nosniff"}
		h := w.Header()
		h["X-Request-Id"], h["X-Content-Type-Options"] = x.lines[0:1:1], x.lines[1:2:2]
		ctx, end := context.WithDeadline(graph.NewContext(r.Context(), &x.req), x.start.Add(limit))
		defer end() // after the log line: a context that is canceled means that the client left
		r = r.WithContext(ctx)
		defer func() { s.logRequest(r, x) }()
		defer func() { s.answerPanic(x, r, recover()) }()
		s.limitBody(w, r)
		next.ServeHTTP(x, r)
	})
}

// answerPanic is the last resort: a panic outside an operation is an error like any other.
func (s *service) answerPanic(x *exchange, r *http.Request, p any) {
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself, as net/http compares it
		panic(p)
	}
	s.log.ErrorContext(r.Context(), "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
	graph.WriteError(x, r, apierror.New(apierror.Internal, "Something went wrong. Quote the request id."))
}

// requestID takes over the caller's id if it is one line's worth of harmless text.
func requestID(given []string) string {
	if len(given) == 1 && given[0] != "" && len(given[0]) <= 128 && harmless(given[0]) {
		return given[0]
	}
	return newID()
}

// newID is 120 random bits. It names a request, and gives nobody anything.
func newID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var id [24]byte
	for half := range 2 {
		bits := rand.Uint64()
		for i := range len(id) / 2 {
			id[half*len(id)/2+i] = alphabet[bits%32]
			bits /= 32
		}
	}
	return string(id[:])
}

func harmless(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

// logRequest counts the request, if it is one to the GraphQL endpoint, and writes its line: a failure
// of this service is an error, one of authentik a warning, probes are for debugging only. What was
// asked is never in it, and who asks only if they have a name in CALLERS_FILE.
func (s *service) logRequest(r *http.Request, x *exchange) {
	facts, took := x.req.Facts(), time.Since(x.start)
	ended := telemetry.Request{
		Status: x.status, OperationType: facts.OperationType, ErrorCodes: facts.ErrorCodes,
		Replayed: facts.Replayed, Duration: took,
	}
	if r.Pattern == graphqlPath {
		s.metrics.RequestEnded(r.Context(), ended)
	}
	s.traces.RequestEnded(r.Context(), ended)
	level := slog.LevelInfo
	switch {
	case slices.Contains(facts.ErrorCodes, apierror.Internal):
		level = slog.LevelError
	case facts.Err != nil:
		level = slog.LevelWarn
	case r.Pattern == "GET /healthz", r.Pattern == "GET /readyz":
		level = slog.LevelDebug
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("request_id", x.req.ID),
		slog.String("method", telemetry.CleanMethod(r.Method)),
		slog.String("route", r.Pattern),
		slog.Int("status", x.status),
		slog.Int64("duration_us", took.Microseconds()))
	if x.req.CallerName != "" {
		attrs = append(attrs, slog.String("caller", x.req.CallerName))
	}
	if facts.OperationType != "" {
		attrs = append(attrs, slog.String("operation", facts.OperationType), slog.String("operation_name", facts.OperationName))
	}
	if facts.CacheStatus != "" {
		attrs = append(attrs, slog.String("cache", facts.CacheStatus))
	}
	if facts.UpstreamStatus != 0 {
		attrs = append(attrs, slog.Int("upstream_status", facts.UpstreamStatus), slog.String("authentik_id", facts.AuthentikID))
	}
	if len(facts.ErrorCodes) > 0 {
		attrs = append(attrs, slog.Any("codes", facts.ErrorCodes))
	}
	if facts.Err != nil {
		attrs = append(attrs, slog.String("error", facts.Err.Error()))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

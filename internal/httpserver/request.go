package httpserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/upstream"
)

// responseWriter is the writer of a response, and what is known of its request. It remembers the status for the
// log.
type responseWriter struct {
	http.ResponseWriter
	conns   *connectionLimit
	request graph.Request
	status  int
}

func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.conns.endIfAsked(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// begin gives a request its id, its caller and the limit of its body. It logs one line when the request ends.
func (s *Server) begin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &responseWriter{ResponseWriter: rw, conns: s.conns}
		w.request.Start = time.Now()
		w.request.ID = requestID(r.Header["X-Request-Id"])
		s.identify(&w.request, r)
		rw.Header().Set("X-Request-Id", w.request.ID)
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		r = r.WithContext(graph.NewContext(r.Context(), &w.request))
		defer func() { s.end(r, w) }()
		defer func() { s.recover(w, r, recover()) }()
		s.limitBody(rw, r)
		next.ServeHTTP(w, r)
	})
}

// identify notes whose request it is, and which credential goes to authentik for it.
func (s *Server) identify(req *graph.Request, r *http.Request) {
	who := s.o.Callers.Identify(upstream.ParseAuthorization(r.Header))
	req.Credential, req.CallerName, req.ReadOnly = who.Credential, who.Name, who.ReadOnly
	if !who.Credential.IsZero() {
		req.Digest = s.o.Digester.Digest(who.Credential)
	}
}

// limitBody bounds the body of a copy of net/http's request. The reader gets net/http's own ResponseWriter, which
// ends the connection of a body over the limit instead of reading it to its end. net/http's own request keeps its
// body: otherwise a client that waits for 100 Continue could not be refused before its body is read.
func (s *Server) limitBody(w http.ResponseWriter, copied *http.Request) {
	copied.Body = http.MaxBytesReader(w, copied.Body, int64(s.o.MaxBody))
	if len(copied.TransferEncoding) > 0 {
		// A chunked request may have had a Content-Length as well, which net/http drops. A proxy that
		// followed it would take the rest for another client's request, so the connection ends here
		// (RFC 9112, section 6.1).
		w.Header()["Connection"] = []string{"close"}
	}
}

// recover answers a request whose handler panicked outside of an operation.
func (s *Server) recover(w http.ResponseWriter, r *http.Request, p any) {
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself, as net/http compares it
		panic(p)
	}
	s.o.Log.ErrorContext(r.Context(), "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
	graph.WriteError(w, r, apierror.New(apierror.Internal, "Something went wrong. Quote the request id."))
}

// withDeadline ends the context of a request in time for a response before the connection's write deadline. The
// time that the body took counts.
func (s *Server) withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithDeadline(r.Context(), graph.FromContext(r.Context()).Start.Add(s.o.OperationTimeout))
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

var clientID = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,128}$`)

// requestID returns the client's id if it is short and plain, or a new one.
func requestID(given []string) string {
	if len(given) == 1 && clientID.MatchString(given[0]) {
		return given[0]
	}
	return rand.Text()
}

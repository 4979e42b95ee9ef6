package httpserver

import (
	"net/http"

	"github.com/rs/cors"

	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
)

const graphqlPath = "/graphql"

// routes makes the handler for clients. The order is, outermost first: span, request id, log line, recovery and
// body limit, CORS, cross-origin protection, rate limit, header limits, response cache, deadline, compression.
func (s *Server) routes() (http.Handler, error) {
	endpoint := s.o.GraphQL
	if s.o.Compress {
		var err error
		if endpoint, err = compress(endpoint); err != nil {
			return nil, err
		}
	}
	endpoint = s.withDeadline(endpoint)
	if s.o.Responses != nil {
		endpoint = s.o.Responses.Middleware(endpoint)
	}
	endpoint = checkHead(endpoint)
	if s.o.RateLimit > 0 {
		endpoint = newRateLimiter(s.o.RateLimit, s.o.Now).handler(endpoint)
	}
	mux := http.NewServeMux()
	mux.Handle(graphqlPath, s.protect(endpoint))
	if s.o.Playground != nil {
		mux.Handle("/{$}", s.o.Playground)
		mux.Handle("/playground/", s.o.Playground)
	}
	if s.o.Dashboard != nil {
		mux.Handle("/dashboard", s.o.Dashboard)
		mux.Handle("/dashboard/", s.o.Dashboard)
	}
	addProbes(mux, s.readyz)
	return s.o.Tracing.Handler(graphqlPath, s.begin(mux)), nil
}

// protect refuses web pages of other origins, except those of AllowedOrigins.
func (s *Server) protect(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range s.o.AllowedOrigins {
		_ = protection.AddTrustedOrigin(origin) // validated with the settings
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		graph.WriteError(w, r, apierror.New(apierror.Forbidden, "Requests from other origins need to be allowed by ALLOWED_ORIGINS."))
	}))
	h := protection.Handler(next)
	if len(s.o.AllowedOrigins) == 0 { // an empty list would let rs/cors allow every origin
		return h
	}
	return cors.New(cors.Options{
		AllowedOrigins: s.o.AllowedOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Apollo-Require-Preflight", "X-Apollo-Operation-Name", "X-Request-ID", "traceparent", "tracestate"},
		ExposedHeaders: []string{"X-Request-ID", "Age", "Cache-Status", "Retry-After"},
		MaxAge:         600,
	}).Handler(h)
}

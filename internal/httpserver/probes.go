package httpserver

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/internal/telemetry"
)

// Health describes what the service depends on. None of it changes a probe's status.
type Health struct {
	Authentik AuthentikHealth `json:"authentik"`
	Redis     RedisHealth     `json:"redis"`
}

// AuthentikHealth is what this process's calls to authentik came to.
type AuthentikHealth struct {
	Breaker     string                     `json:"breaker"`
	LastAnswer  *time.Time                 `json:"lastAnswer"` // null before the first
	LastFailure *telemetry.UpstreamFailure `json:"lastFailure"`
}

// RedisHealth is the state of Redis: off, up or down.
type RedisHealth struct {
	State        string `json:"state"`
	*RedisDetail        // nil if it is off
}

// RedisDetail is what [cache.RedisStatus] says.
type RedisDetail struct {
	Breaker            string `json:"breaker"`
	InSync             bool   `json:"inSync"`
	Writable           bool   `json:"writable"`
	PendingRevocations int    `json:"pendingRevocations"`
}

func addProbes(mux *http.ServeMux, readyz http.HandlerFunc) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", readyz)
}

// readyz reports whether this process wants requests. It does while Redis or authentik is down: responses say what
// is wrong, and to take every replica out of service would help no client.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	status, state := s.readiness()
	plain(w, status, state)
}

// readyzInFull is readyz for operators, with the health of authentik and Redis.
func (s *Server) readyzInFull(w http.ResponseWriter, r *http.Request) {
	var body struct {
		State string `json:"state"`
		Health
	}
	var status int
	status, body.State = s.readiness()
	body.Health = s.o.Health(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, body, jsontext.WithIndent("  ")) // fails only if the client left
	_, _ = fmt.Fprintln(w)
}

func (s *Server) readiness() (status int, state string) {
	if s.draining.Load() {
		return http.StatusServiceUnavailable, "draining"
	}
	return http.StatusOK, "ready"
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

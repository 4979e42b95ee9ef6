package httpserver

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/internal/telemetry"
)

// Readiness is what operators get. None of it but the state changes the probe's status.
type Readiness struct {
	State     string `json:"state"` // ready or draining
	Authentik struct {
		Breaker     string                     `json:"breaker"`
		LastAnswer  *time.Time                 `json:"lastAnswer"` // null before the first
		LastFailure *telemetry.UpstreamFailure `json:"lastFailure"`
	} `json:"authentik"`
	Redis struct {
		State        string `json:"state"` // off, up or down
		*RedisDetail        // nil if it is off
	} `json:"redis"`
}

// RedisDetail is of [cache.RedisStatus].
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
	status, state := s.state()
	plain(w, status, state)
}

// readyzInFull is readyz for operators. It asks Redis, so that a Redis that works again is found before a request
// needs it.
func (s *Server) readyzInFull(w http.ResponseWriter, r *http.Request) {
	var body Readiness
	var status int
	status, body.State = s.state()
	body.Authentik.Breaker = s.o.Upstream().BreakerState
	body.Authentik.LastAnswer, body.Authentik.LastFailure = s.o.Metrics.LastAnswer(), s.o.Metrics.LastFailure()
	body.Redis.State = "off"
	if s.o.Redis != nil {
		body.Redis.State = "up"
		if s.o.Redis.Check(r.Context()) != nil {
			body.Redis.State = "down"
		}
		now := s.o.Redis.Status()
		body.Redis.RedisDetail = &RedisDetail{now.Breaker, now.InSync, now.Writable, now.PendingRevocations}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, body, jsontext.WithIndent("  ")) // fails only if the client left
	_, _ = fmt.Fprintln(w)
}

func (s *Server) state() (status int, state string) {
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

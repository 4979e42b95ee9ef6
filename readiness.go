package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"authentik-graphql/internal/telemetry"
)

// readiness is what the admin listener's probe tells beyond its status, which no dependency changes.
type readiness struct {
	State     string         `json:"state"` // ready or draining
	Authentik authentikState `json:"authentik"`
	Redis     redisState     `json:"redis"`
}

type authentikState struct {
	Breaker     string                     `json:"breaker"`
	LastAnswer  *time.Time                 `json:"lastAnswer"` // null before the first
	LastFailure *telemetry.UpstreamFailure `json:"lastFailure"`
}

type redisState struct {
	State        string `json:"state"` // off, up or down
	*redisDetail        // nil if it is off
}

// redisDetail is of [cache.RedisStatus].
type redisDetail struct {
	Breaker            string `json:"breaker"`
	InSync             bool   `json:"inSync"`
	Writable           bool   `json:"writable"`
	PendingRevocations int    `json:"pendingRevocations"`
}

func (s *service) readiness(ctx context.Context) readiness {
	now := readiness{
		State:     "ready",
		Authentik: authentikState{s.client.Stats().BreakerState, s.metrics.LastAnswer(), s.metrics.LastFailure()},
		Redis:     s.redisState(ctx),
	}
	if s.draining.Load() {
		now.State = "draining"
	}
	return now
}

// redisState asks Redis, so that it is known to be up again before somebody needs it.
func (s *service) redisState(ctx context.Context) redisState {
	if s.redis == nil {
		return redisState{State: "off"}
	}
	state := "up"
	if s.redis.Check(ctx) != nil {
		state = "down"
	}
	now := s.redis.Status()
	return redisState{state, &redisDetail{now.Breaker, now.InSync, now.Writable, now.PendingRevocations}}
}

// readyzInFull is readyz with what is known of authentik and Redis.
func (s *service) readyzInFull(w http.ResponseWriter, r *http.Request) {
	now := s.readiness(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if now.State != "ready" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	lines := json.NewEncoder(w)
	lines.SetIndent("", "  ")
	_ = lines.Encode(now)
}

package httpserver

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/telemetry"
)

// end counts a request that has ended, and logs its line. The line never holds what was asked, nor who asked
// unless the caller has a name.
func (s *Server) end(r *http.Request, w *responseWriter) {
	facts, took := w.request.Facts(), time.Since(w.request.Start)
	ended := telemetry.Request{
		Status: w.status, OperationType: facts.OperationType, ErrorCodes: facts.ErrorCodes,
		Replayed: facts.Replayed, Duration: took,
	}
	if r.Pattern == graphqlPath {
		s.o.Metrics.RequestEnded(r.Context(), ended)
	}
	s.o.Tracing.RequestEnded(r.Context(), ended)
	level := levelOf(r, facts)
	if !s.o.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("request_id", w.request.ID),
		slog.String("method", telemetry.CleanMethod(r.Method)),
		slog.String("route", r.Pattern),
		slog.Int("status", w.status),
		slog.Int64("duration_us", took.Microseconds()))
	if w.request.CallerName != "" {
		attrs = append(attrs, slog.String("caller", w.request.CallerName))
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
	// Logger.LogAttrs would look for the caller's line, which no log of ours shows.
	record := slog.NewRecord(w.request.Start.Add(took), level, "request", 0)
	record.AddAttrs(attrs...)
	_ = s.o.Log.Handler().Handle(r.Context(), record)
}

// levelOf logs a failure of this service as an error, one of authentik as a warning, and probes for debugging
// alone.
func levelOf(r *http.Request, facts graph.Facts) slog.Level {
	switch {
	case slices.Contains(facts.ErrorCodes, apierror.Internal):
		return slog.LevelError
	case facts.Err != nil:
		return slog.LevelWarn
	case r.Pattern == "GET /healthz", r.Pattern == "GET /readyz":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

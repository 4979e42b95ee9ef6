package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof" // which also registers with http.DefaultServeMux, that no server here uses
	"time"
)

const (
	// adminConnections may stay open. Further ones are answered once, so that connections that carry
	// nothing keep no probe out; see [connectionLimit].
	adminConnections = 16
	// adminStopTimeout is how long the end waits for a running scrape.
	adminStopTimeout = time.Second
)

// listenAdmin begins to serve operators, if there is an address for them.
func (s *Server) listenAdmin(ctx context.Context) error {
	if s.o.AdminAddr == "" {
		return nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.o.AdminAddr)
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w; every process of a host needs its own, or off", err)
	}
	conns := &connectionLimit{limit: adminConnections, refused: func() {}}
	s.adminAddr = ln.Addr().String()
	s.admin = http.Server{
		Handler:           conns.handler(s.AdminHandler()),
		ConnContext:       conns.connContext,
		ConnState:         conns.connState,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       10 * time.Second, // a scraper may as well connect again
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          newServerLog(s.o.Log),
	}
	go func() {
		if err := s.admin.Serve(conns.listener(ln)); !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.Error("the admin listener ended", "error", err)
		}
	}()
	return nil
}

// stopAdmin closes the listener for operators and its connections.
func (s *Server) stopAdmin() {
	ctx, cancel := context.WithTimeout(context.Background(), adminStopTimeout)
	defer cancel()
	if s.admin.Shutdown(ctx) != nil {
		_ = s.admin.Close()
	}
}

// AdminHandler returns what operators reach. It takes no body.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.o.Metrics.Handler(s.o.Log))
	addProbes(mux, s.readyzInFull)
	if s.o.Profiles {
		addProfiles(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // otherwise net/http reads the body
			plain(w, http.StatusRequestEntityTooLarge, "a body is not accepted")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// addProfiles adds what go tool pprof and go tool trace request. A profile over some seconds may take that much
// longer than WriteTimeout: package pprof extends the deadline.
func addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

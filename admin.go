package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof" // which adds to http.DefaultServeMux, too: no server of ours has that
	"time"

	"authentik-graphql/internal/config"
)

const (
	// adminConnections may stay open. Those over it are answered once, so that nobody keeps probes out by
	// connections that carry nothing; see [connectionLimit].
	adminConnections = 16
	// adminStop is how long a scrape that runs is waited for at the end.
	adminStop = time.Second
)

// admin is the listener for those who run the service, apart from what clients reach.
type admin struct {
	addr  string
	srv   *http.Server
	ended chan struct{}
}

// listenAdmin begins to answer on ADMIN_ADDR. It returns nil if that is off.
func (s *service) listenAdmin(ctx context.Context) (*admin, error) {
	if s.cfg.AdminAddr == config.AdminOff {
		return nil, nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(s.cfg.AdminAddr))
	if err != nil {
		return nil, fmt.Errorf("ADMIN_ADDR: %w; every process of a host needs its own, or off", err)
	}
	conns := &connectionLimit{limit: adminConnections, refused: func() {}}
	a := &admin{
		addr: ln.Addr().String(),
		srv: &http.Server{
			Handler:           conns.handler(s.adminRoutes()),
			ConnContext:       conns.connContext,
			ConnState:         conns.connState,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       5 * time.Second,
			WriteTimeout:      10 * time.Second,
			IdleTimeout:       10 * time.Second, // a scrape may as well connect again
			MaxHeaderBytes:    8 << 10,
			ErrorLog:          newServerLog(s.log),
		},
		ended: make(chan struct{}),
	}
	go func() {
		defer close(a.ended)
		if err := a.srv.Serve(conns.listener(ln)); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the admin listener ended", "error", err)
		}
	}()
	return a, nil
}

// stop ends the listener and its connections.
func (a *admin) stop() {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminStop)
	defer cancel()
	if a.srv.Shutdown(ctx) != nil {
		_ = a.srv.Close()
	}
	<-a.ended
}

// String is where it listens.
func (a *admin) String() string {
	if a == nil {
		return config.AdminOff
	}
	return a.addr
}

// adminRoutes makes the admin listener's handler. No request to it has a body.
func (s *service) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler(s.log))
	addProbes(mux, s.readyzInFull)
	if s.cfg.AdminPprof {
		addProfiles(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // or net/http reads it
			plain(w, http.StatusRequestEntityTooLarge, "a body is not taken")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// addProfiles adds what go tool pprof and go tool trace ask for. A profile of some seconds has that much
// longer than WriteTimeout to be written: pprof sees to it.
func addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

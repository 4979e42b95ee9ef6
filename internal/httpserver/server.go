package httpserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/callers"
	"authentik-graphql/internal/responsecache"
	"authentik-graphql/internal/telemetry"
	"authentik-graphql/upstream"
)

const (
	// headerSlack is how far headers may exceed their limits and still get a response that names the limit.
	// net/http answers larger ones with a bare 431.
	headerSlack = 16 << 10
	// requestSlack is how much longer a request may take than its operation: its body is read and the
	// response is written.
	requestSlack = 10 * time.Second
	// idleGrace is how long idle connections are kept once the listener is closed. To close them at once
	// would lose a request that is on its way. Requests that arrive meanwhile are answered, and their
	// connections closed.
	idleGrace = time.Second
	idlePoll  = 10 * time.Millisecond
)

// Options configure a [Server].
type Options struct {
	// Addr is the address for clients. AdminAddr is that for operators; empty for none.
	Addr, AdminAddr string
	// Profiles adds profiles of the process to what operators get.
	Profiles bool

	// GraphQL is the GraphQL endpoint. It finds a [graph.Request] in its context.
	GraphQL http.Handler
	// Compress compresses responses. It must not be set if they may hold secrets: see [compress].
	Compress bool
	// Responses replays cached responses; nil replays none.
	Responses *responsecache.Cache
	// Playground and Dashboard are optional pages.
	Playground, Dashboard http.Handler

	// Callers identifies who sent a request; nil is everyone by their own token.
	Callers *callers.Callers
	// Digester makes the digests of credentials that stand for callers.
	Digester *upstream.Digester

	AllowedOrigins []string
	// RateLimit is how many requests per second each caller may send; 0 is no limit.
	RateLimit        float64
	MaxBody          int
	MaxConnections   int
	OperationTimeout time.Duration
	ShutdownDelay    time.Duration
	// CacheMemory is how much memory caches take beside that of requests. Go's soft memory limit follows it
	// and the number of connections; 0 leaves the limit alone.
	CacheMemory int64
	// OtherFiles is how many files the process opens besides its clients' connections, at most.
	OtherFiles int

	Metrics *telemetry.Metrics
	Tracing *telemetry.Tracing
	Log     *slog.Logger
	Now     func() time.Time
	// Upstream and Redis are what the service depends on, for operators to see; Redis may be nil.
	Upstream func() upstream.Stats
	Redis    *cache.Redis
	// Close closes what the handlers use. It is called when the last request has ended, with the time
	// that is left for the shutdown.
	Close func(context.Context) error
}

// Server serves clients and operators.
type Server struct {
	o        Options
	conns    *connectionLimit
	draining atomic.Bool
	handler  http.Handler

	// These are set by Listen.
	listener  net.Listener
	admin     http.Server // zero without an address for operators
	adminAddr string
	memory    *memoryLimit
}

// New makes a Server that does not listen yet.
func New(o Options) (*Server, error) {
	s := &Server{o: o, conns: &connectionLimit{limit: int64(o.MaxConnections), refused: o.Metrics.ConnectionRefused}}
	var err error
	s.handler, err = s.routes()
	return s, err
}

// Handler returns what clients reach, without the limit of connections.
func (s *Server) Handler() http.Handler { return s.handler }

// OpenConnections returns how many connections of clients are open.
func (s *Server) OpenConnections() int64 { return s.conns.open.Load() }

// Draining reports whether the server finishes its last requests before it stops.
func (s *Server) Draining() bool { return s.draining.Load() }

// Listen opens the listeners. Serve must follow, and closes them.
func (s *Server) Listen(ctx context.Context) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.o.Addr)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	if err := s.listenAdmin(ctx); err != nil {
		return errors.Join(err, ln.Close())
	}
	s.listener = s.conns.listener(ln)
	if s.o.CacheMemory > 0 {
		s.memory = limitMemory(s.o.CacheMemory, &s.conns.open, debug.SetMemoryLimit)
	}
	warnOfFewFiles(s.o.Log, s.o.MaxConnections, s.o.OtherFiles)
	return nil
}

// Addr returns the address for clients.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// AdminAddr returns the address for operators, or "off".
func (s *Server) AdminAddr() string { return cmp.Or(s.adminAddr, "off") }

// Serve answers requests until ctx ends, and then lets those that run finish.
func (s *Server) Serve(ctx context.Context) error {
	defer s.stopAdmin() // last: operators see the rest of the shutdown
	defer s.memory.end()
	srv := &http.Server{
		Handler:           s.conns.handler(s.handler),
		ConnContext:       s.conns.connContext,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      s.requestTimeout(),
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    document.MaxURL + document.MaxHeaders + headerSlack,
		ConnState: func(c net.Conn, state http.ConnState) {
			s.conns.connState(c, state)
			if state != http.StateActive && state != http.StateIdle { // twice a request
				s.memory.adjust()
			}
		},
		ErrorLog: newServerLog(s.o.Log),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(s.listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, s.stop(srv))
	case <-ctx.Done():
		return s.drain(srv)
	}
}

// requestTimeout is how long a request may take in all.
func (s *Server) requestTimeout() time.Duration { return s.o.OperationTimeout + requestSlack }

// drain stops the server without losing a request. First /readyz says that the process ends, and nothing else
// changes for ShutdownDelay, in which load balancers notice.
func (s *Server) drain(srv *http.Server) error {
	s.draining.Store(true)
	s.o.Log.Info("draining", "delay", s.o.ShutdownDelay.String())
	time.Sleep(s.o.ShutdownDelay)
	err := s.stop(srv)
	s.o.Log.Info("stopped")
	return err
}

// stop closes the listener, waits for requests that run, for as long as one may take, and closes the rest.
// Connections that are in use are closed with their next response, so that no client returns on them.
func (s *Server) stop(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.requestTimeout())
	defer cancel()
	_ = s.listener.Close() // it may have failed, which Serve reports
	s.conns.ending.Store(true)
	for grace := time.Now().Add(idleGrace); s.conns.open.Load() > 0 && time.Now().Before(grace); {
		time.Sleep(idlePoll)
	}
	var err error
	if e := srv.Shutdown(ctx); errors.Is(e, context.DeadlineExceeded) { // others are of the closed listener
		err = errors.Join(fmt.Errorf("requests were still running after %s: %w", s.requestTimeout(), e), srv.Close())
	}
	return errors.Join(err, s.o.Close(ctx))
}

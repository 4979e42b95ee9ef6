// Command authentik-graphql serves authentik's OAuth2 grants as GraphQL: authorization codes, access tokens
// and refresh tokens.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/redis/go-redis/v9/logging"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
	"authentik-graphql/graph/document"
	"authentik-graphql/graph/playground"
	"authentik-graphql/internal/buildinfo"
	"authentik-graphql/internal/callers"
	"authentik-graphql/internal/config"
	"authentik-graphql/internal/grants"
	"authentik-graphql/internal/responsecache"
	"authentik-graphql/internal/telemetry"
	"authentik-graphql/internal/telemetry/spans"
	"authentik-graphql/upstream"
)

//go:embed schema.graphqls
var schemaSDL string

// The parts of CACHE_MEMORY that parsed documents and cached responses may take: one in so many. The
// rest is for what authentik said.
const (
	documentShare = 8
	responseShare = 4
)

func main() {
	if os.Getenv("ADMIN_PPROF") == "" {
		runtime.MemProfileRate = 0 // nobody can ask for the samples, each of which is a walk up a stack
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	logging.Disable() // go-redis prints addresses to stderr; what matters is logged by the cache
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// usageError is a mistake of the person who started the service.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "authentik-graphql:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

// run is the whole program: it returns when ctx ends and everything is closed.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("authentik-graphql", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // a mistake is told in one line, and help is printed below
	demo := flags.Bool("demo", false, "run against a fake authentik inside, with the Playground and three tokens to try")
	check := flags.Bool("check", false, "validate the settings, reach authentik and Redis, try the service's own token, print what was found")
	var fake config.Addr
	flags.Func("fake-authentik", "run the demo's fake authentik alone, on `ADDR`, for several processes of the service to share", func(value string) error {
		return fake.UnmarshalText([]byte(value))
	})
	healthcheck := flags.Bool("healthcheck", false, "ask the service that listens on LISTEN_ADDR of this host for its /healthz; exit with 0 or 1")
	schema := flags.Bool("schema", false, "print the schema")
	version := flags.Bool("version", false, "print the version, the commit and the release of Go that it was built from")
	help := flags.Bool("help", false, "print this text")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		*help = true // by -h
	} else if err != nil {
		return usagef("%s; see -help", strings.Replace(err.Error(), "flag provided but not defined:", "unknown flag", 1))
	}
	switch {
	case *help:
		usage(stdout, flags)
		return nil
	case flags.NArg() > 0:
		return usagef("unknown argument %q; see -help", flags.Arg(0))
	case *version:
		_, err := fmt.Fprintln(stdout, buildinfo.Describe())
		return err
	case *schema:
		_, err := io.WriteString(stdout, schemaSDL)
		return err
	case *healthcheck:
		return runHealthcheck(ctx, environ)
	case fake != "":
		return runFakeAuthentik(ctx, fake, stdout)
	}
	cfg, in, err := load(environ, *demo)
	if err != nil {
		return err
	}
	log, flush := newLogger(stderr, cfg)
	defer flush()
	for _, hint := range append(config.Hints(environ), in.traces.Warnings...) {
		if *check {
			_, _ = fmt.Fprintln(stdout, "settings  ", hint)
			continue
		}
		log.Warn("a variable of the environment has no effect", "hint", hint)
	}
	if *demo {
		return runDemo(ctx, cfg, in, *check, environ, log, stdout)
	}
	if *check {
		return runCheck(ctx, cfg, in, stdout)
	}
	return serve(ctx, cfg, in, options{}, environ, log, nil)
}

// service is the wired program.
type service struct {
	cfg        config.Config
	options    options
	log        *slog.Logger
	client     *upstream.Client
	cache      *cache.Cache[grants.Value]
	callers    *callers.Callers // nil outside of service mode
	digester   *upstream.Digester
	responses  *responsecache.Cache // nil when none is kept
	limiter    *rateLimiter         // nil when nobody is limited
	graphql    http.Handler
	playground http.Handler // nil when it is off
	draining   atomic.Bool
	metrics    *telemetry.Metrics
	redis      *cache.Redis[grants.Value] // nil without Redis
	traces     *telemetry.Tracing         // nil when there are none
	conns      *connectionLimit
}

func newService(cfg config.Config, in inputs, o options, log *slog.Logger) (*service, error) {
	if o.now == nil {
		o.now = time.Now
	}
	m := telemetry.NewMetrics(buildinfo.Version())
	traces := telemetry.NewTracing(in.traces, buildinfo.Version(), log)
	client := newClient(cfg, in, o.now, log, m.UpstreamObserver(), traces.Tracer())
	secret := []byte(cfg.CacheSecret.Secret)
	if len(secret) == 0 {
		secret = cache.NewSecret()
	}
	keys, err := cache.DeriveKeys(secret)
	if err != nil {
		return nil, err
	}
	documents, responses := uint64(cfg.CacheMemory)/documentShare, uint64(cfg.CacheMemory)/responseShare
	first, err := cache.NewMemory(uint64(cfg.CacheMemory)-documents-responses, o.now)
	if err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	var store *cache.Redis[grants.Value]
	var second cache.Shared[grants.Value]
	var texts document.TextStore
	if in.redis != nil {
		store = cache.NewRedis(in.redis, keys, grants.Codec, cache.StoreOptions{Prefix: cfg.RedisPrefix, Logger: log, Observe: m.RedisObserver(), Spans: traces.Tracer()})
		second, texts = store, cache.NewTexts(store)
	}
	digester := upstream.NewDigester(keys.CallerKey())
	s := &service{cfg: cfg, options: o, log: log, client: client, callers: in.callers, digester: digester, limiter: newRateLimiter(float64(cfg.RateLimit), o.now), metrics: m, redis: store, traces: traces}
	s.conns = &connectionLimit{limit: int64(cfg.MaxConnections), refused: m.ConnectionRefused}
	s.cache = cache.New(cache.Options{
		Policy: cache.Policy{
			TTL:                  cfg.CacheTTL,
			StaleWhileRevalidate: cfg.StaleWhileRevalidate,
			StaleIfError:         cfg.StaleIfError,
			NegativeTTL:          cfg.NegativeTTL,
		},
		LoadTimeout: bounded(cfg.UpstreamTimeout) + time.Second,
		Classify:    grants.Classify,
		Now:         o.now,
		Spans:       traces.Tracer(),
	}, grants.Codec, first, second)
	var accepted []grants.Digest
	for _, token := range o.acceptedTokens {
		accepted = append(accepted, digester.Digest(upstream.NewCredential(token)))
	}
	if !o.noResponses {
		s.responses, err = responsecache.New(responsecache.Options{
			MaxBytes:  responses,
			Validator: s.cache,
			Request:   func(ctx context.Context) responsecache.Request { return graph.FromContext(ctx) },
			Now:       o.now,
		})
		if err != nil {
			return nil, err
		}
	}
	endpoint, err := graph.NewHandler(&graph.Resolver{
		Grants: grants.NewSource(grants.Options{
			Cache: s.cache, Client: client, Redaction: cfg.Redaction, Concurrency: int(cfg.Concurrency),
			Accepted: accepted, OwnToken: in.callers != nil,
			Answered: func(ctx context.Context, status int, authentikID string) {
				graph.FromContext(ctx).NoteUpstream(status, authentikID)
			},
			Logger: log, Now: o.now,
		}),
		Now: o.now,
	}, graph.Options{
		SDL:            schemaSDL,
		Introspection:  cfg.Introspection,
		Federation:     cfg.Federation,
		Limits:         cfg.Limits,
		Trusted:        in.trusted,
		TrustedOnly:    cfg.TrustedOnly,
		Texts:          texts,
		DocumentMemory: documents,
		Spans:          traces.Tracer(),
	})
	if err != nil {
		return nil, err
	}
	if s.graphql = endpoint; cfg.Redaction.HidesSecret() {
		if s.graphql, err = compress(endpoint); err != nil {
			return nil, err
		}
	}
	sources := s.sources()
	sources.Memory, sources.Documents = first.Size, endpoint.DocumentsSize
	m.Collect(sources)
	if cfg.Playground && !cfg.TrustedOnly {
		s.playground = playground.Handler(o.playground)
	}
	in.callers.Watch(log)
	return s, nil
}

// newLogger makes the logger that the settings describe.
func newLogger(out io.Writer, cfg config.Config) (log *slog.Logger, flush func()) {
	return telemetry.NewLogger(out, telemetry.LogOptions{Level: cfg.LogLevel, Text: cfg.LogFormat == "text"})
}

// sources are what the metrics are read from at a scrape.
func (s *service) sources() telemetry.Sources {
	sources := telemetry.Sources{
		Cache: s.cache.Stats, Upstream: s.client.Stats, Replays: s.responses.Replayed, Responses: s.responses.Size,
		OpenConnections: s.conns.open.Load, Draining: s.draining.Load,
		MaxConnections: int(s.cfg.MaxConnections), UpstreamConcurrency: int(s.cfg.Concurrency),
	}
	if s.redis != nil {
		sources.Redis = s.redis.Status
	}
	return sources
}

// newClient makes the client of authentik. observe, if not nil, is called after each of its calls.
func newClient(cfg config.Config, in inputs, now func() time.Time, log *slog.Logger, observe func(time.Duration, error), tracer *spans.Tracer) *upstream.Client {
	return upstream.NewClient(upstream.Options{
		BaseURL:     cfg.AuthentikURL.URL,
		RootCAs:     in.authentikCAs,
		Timeout:     cfg.UpstreamTimeout,
		Concurrency: int(cfg.Concurrency),
		UserAgent:   "authentik-graphql/" + buildinfo.Version(),
		Now:         now,
		Logger:      log,
		Observe:     observe,
		Spans:       tracer,
	})
}

// serve listens until ctx ends, then lets running requests finish. It calls announce, if not nil, with the
// address once it accepts requests.
func serve(ctx context.Context, cfg config.Config, in inputs, o options, environ []string, log *slog.Logger, announce func(net.Addr)) error {
	s, err := newService(cfg, in, o, log)
	if err != nil {
		return err
	}
	conns := s.conns
	connState := conns.connState
	if config.Lookup(environ, "GOMEMLIMIT") == "" {
		memory := limitMemory(int64(cfg.CacheMemory), debug.SetMemoryLimit)
		defer memory.end()
		connState = func(c net.Conn, state http.ConnState) {
			conns.connState(c, state)
			memory.connState(c, state)
		}
	}
	if config.Lookup(environ, "GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(cfg.ListenAddr))
	if err != nil {
		return errors.Join(fmt.Errorf("LISTEN_ADDR: %w", err), s.close(ctx))
	}
	admin, err := s.listenAdmin(ctx)
	if err != nil {
		return errors.Join(err, ln.Close(), s.close(ctx))
	}
	defer admin.stop() // last: it tells of the end
	srv := &http.Server{
		Handler:           conns.handler(s.routes()),
		ConnContext:       conns.connContext,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      s.longest(),
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    graph.MaxURL + graph.MaxHeaders + headerSlack,
		ConnState:         connState,
		ErrorLog:          newServerLog(log),
	}
	failed := make(chan error, 1)
	taken := conns.listener(ln)
	go func() { failed <- srv.Serve(taken) }()
	if announce != nil {
		announce(ln.Addr())
	}
	log.Info("listening", "address", ln.Addr().String(), "admin_address", admin.String(), "version", buildinfo.Version(),
		"memory_limit", humanize.IBytes(uint64(currentMemoryLimit())), "settings", cfg)
	checkFiles(log, cfg)
	select {
	case err := <-failed:
		return errors.Join(err, s.stop(srv, taken))
	case <-ctx.Done():
		return s.drain(srv, taken)
	}
}

func usage(w io.Writer, flags *flag.FlagSet) {
	_, _ = fmt.Fprintf(w, "authentik-graphql serves authentik's OAuth2 authorization codes and tokens as GraphQL.\n\nUsage: authentik-graphql [flag]\n\n")
	flags.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		_, _ = fmt.Fprintf(w, "  -%-20s %s\n", strings.TrimSpace(f.Name+" "+value), text)
	})
	_, _ = fmt.Fprintf(w, "\nSettings come from the environment. A secret may be given as NAME_FILE, the path of a file.\n")
	group := ""
	for _, s := range config.Settings() {
		if s.Group != group {
			group = s.Group
			_, _ = fmt.Fprintf(w, "\n%s:\n", group)
		}
		name, value := s.Name, s.Default
		if s.Secret {
			name += "[_FILE]"
		}
		if value == "" {
			value = "unset"
		}
		_, _ = fmt.Fprintf(w, "  %s (default: %s)\n      %s\n", name, value, s.Help)
	}
	_, _ = fmt.Fprintf(w, "\nOpenTelemetry's own variables turn traces on, such as OTEL_EXPORTER_OTLP_ENDPOINT; see docs/traces.md.\n")
}

// bounded keeps sums of durations from overflowing.
func bounded(d time.Duration) time.Duration { return min(d, math.MaxInt64/2) }

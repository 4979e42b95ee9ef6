package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
	"authentik-graphql/graph/document"
	"authentik-graphql/graph/playground"
	"authentik-graphql/internal/buildinfo"
	"authentik-graphql/internal/config"
	"authentik-graphql/internal/grants"
	"authentik-graphql/internal/httpserver"
	"authentik-graphql/internal/responsecache"
	"authentik-graphql/internal/telemetry"
	"authentik-graphql/upstream"
)

// The shares of CACHE_MEMORY that parsed documents and cached responses may take, one in so many. The rest is for
// what authentik said.
const (
	documentShare = 8
	responseShare = 4
)

// otherFiles is how many files the process opens besides connections: the binary, Redis, watched files, profiles.
const otherFiles = 64

// Service is the wired program.
type Service struct {
	*program
	metrics   *telemetry.Metrics
	tracing   *telemetry.Tracing // nil without traces
	client    *upstream.Client
	digester  *upstream.Digester
	memory    *cache.Memory
	redis     *cache.Redis // nil without Redis
	documents *document.Library
	cache     *cache.Cache[grants.Value]
	responses *responsecache.Cache
	server    *httpserver.Server
}

// Open makes the service that the settings describe, without its listeners, for tests and benchmarks that call its
// handlers.
func Open(o Options) (*Service, error) {
	p, err := load(o, false)
	if err != nil {
		return nil, err
	}
	p.log, _ = telemetry.NewLogger(o.Stderr, telemetry.LogOptions{Level: p.cfg.LogLevel})
	return newService(p)
}

// Handler returns what clients reach.
func (s *Service) Handler() http.Handler { return s.server.Handler() }

// AdminHandler returns what operators reach.
func (s *Service) AdminHandler() http.Handler { return s.server.AdminHandler() }

func newService(p *program) (*Service, error) {
	s := &Service{program: p, metrics: telemetry.NewMetrics(buildinfo.Version())}
	s.tracing = telemetry.NewTracing(p.in.traces, buildinfo.Version(), p.log)
	s.client = p.newClient(s.metrics.UpstreamObserver(), s.tracing)
	if err := s.openCaches(); err != nil {
		return nil, err
	}
	var err error
	if s.server, err = s.newServer(s.newEndpoint()); err != nil {
		return nil, err
	}
	sources := telemetry.Sources{
		Cache: s.cache.Stats, Upstream: s.client.Stats, Keys: s.client.Keys, Replays: s.responses.Replayed,
		Responses: s.responses.Size, Memory: s.memory.Size, Documents: s.documents.Size,
		OpenConnections: s.server.OpenConnections, Draining: s.server.Draining,
		MaxConnections: p.cfg.MaxConnections, UpstreamConcurrency: p.cfg.Concurrency,
	}
	if s.redis != nil {
		sources.Redis = s.redis.Status
	}
	s.metrics.Collect(sources)
	p.in.callers.Watch(p.log)
	return s, nil
}

// newClient makes the client of authentik. observe, if not nil, is called after each of its calls.
func (p *program) newClient(observe func(time.Duration, error), tracing *telemetry.Tracing) *upstream.Client {
	return upstream.NewClient(upstream.Options{
		BaseURL:     p.cfg.AuthentikURL.URL,
		RootCAs:     p.in.authentikCAs,
		Pins:        p.cfg.AuthentikPins,
		Timeout:     p.cfg.UpstreamTimeout,
		Concurrency: p.cfg.Concurrency,
		UserAgent:   "authentik-graphql/" + buildinfo.Version(),
		Now:         p.Now,
		Logger:      p.log,
		Observe:     observe,
		Spans:       tracing.Tracer(),
	})
}

// openCaches makes the cache of grants, in memory and in Redis, and those of documents and responses.
func (s *Service) openCaches() error {
	secret := []byte(s.cfg.CacheSecret.Secret)
	if len(secret) == 0 {
		secret = cache.NewSecret()
	}
	keys, err := cache.DeriveKeys(secret)
	if err != nil {
		return err
	}
	s.digester = upstream.NewDigester(keys.CallerKey())
	total := uint64(s.cfg.CacheMemory)
	if s.memory, err = cache.NewMemory(total-total/documentShare-total/responseShare, s.Now); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	var shared cache.Shared
	documents := document.Options{
		Schema:      graph.Schema(),
		Limits:      s.cfg.Limits,
		Suggest:     s.cfg.Introspection,
		Trusted:     s.in.trusted,
		TrustedOnly: s.cfg.TrustedOnly,
		MaxBytes:    total / documentShare,
	}
	if s.in.redis != nil {
		s.redis = cache.NewRedis(s.in.redis, keys, cache.StoreOptions{
			Prefix: s.cfg.RedisPrefix, Errors: grants.ErrorCodec, Logger: s.log, Observe: s.metrics.RedisObserver(), Spans: s.tracing.Tracer(),
		})
		shared, documents.Texts = s.redis, cache.NewTexts(s.redis)
	}
	if s.documents, err = document.NewLibrary(documents); err != nil {
		return err
	}
	policy := cache.Policy{
		TTL:                  s.cfg.CacheTTL,
		StaleWhileRevalidate: s.cfg.StaleWhileRevalidate,
		StaleIfError:         s.cfg.StaleIfError,
		NegativeTTL:          s.cfg.NegativeTTL,
	}
	ofProviders := policy
	if policy.TTL > 0 { // else nothing is cached
		ofProviders.TTL = s.cfg.ProviderTTL
	}
	s.cache = cache.New(cache.Options{
		Policy:      policy,
		Policies:    map[string]cache.Policy{grants.ProviderResource: ofProviders},
		LoadTimeout: s.cfg.UpstreamTimeout + time.Second,
		Classify:    grants.Classify,
		Now:         s.Now,
		Spans:       s.tracing.Tracer(),
	}, grants.Codec, s.memory, shared)
	s.responses, err = responsecache.New(responsecache.Options{
		MaxBytes: total / responseShare,
		Valid:    s.cache.Valid,
		Request:  func(ctx context.Context) responsecache.Request { return graph.FromContext(ctx) },
		Now:      s.Now,
	})
	return err
}

// newEndpoint makes the GraphQL endpoint, which reads grants through the cache.
func (s *Service) newEndpoint() http.Handler {
	var accepted []grants.Digest
	if s.demo != nil {
		for _, token := range s.demo.AcceptedTokens {
			accepted = append(accepted, s.digester.Digest(upstream.NewCredential(token)))
		}
	}
	source := grants.NewSource(grants.Options{
		Cache:       s.cache,
		Client:      s.client,
		Redaction:   s.cfg.Redaction,
		Concurrency: s.cfg.Concurrency,
		Accepted:    accepted,
		OwnToken:    s.in.callers != nil,
		Answered: func(ctx context.Context, status int, authentikID string) {
			graph.FromContext(ctx).NoteUpstream(status, authentikID)
		},
		Logger: s.log,
		Now:    s.Now,
	})
	return graph.NewHandler(&graph.Resolver{Grants: source, Redacted: s.cfg.Redaction.Covers, Now: s.Now}, graph.Options{
		SDL:           s.Schema,
		Introspection: s.cfg.Introspection,
		Federation:    s.cfg.Federation,
		Limits:        s.cfg.Limits,
		Documents:     s.documents,
		Spans:         s.tracing.Tracer(),
	})
}

func (s *Service) newServer(endpoint http.Handler) (*httpserver.Server, error) {
	o := httpserver.Options{
		Addr:             s.cfg.ListenAddr,
		AdminAddr:        s.cfg.AdminAddr,
		Profiles:         s.cfg.AdminPprof,
		GraphQL:          endpoint,
		Compress:         s.cfg.Redaction.HidesSecret(),
		Responses:        s.responses,
		Callers:          s.in.callers,
		Digester:         s.digester,
		AllowedOrigins:   s.cfg.AllowedOrigins,
		RateLimit:        float64(s.cfg.RateLimit),
		MaxBody:          int(s.cfg.Body),
		MaxConnections:   s.cfg.MaxConnections,
		OperationTimeout: s.cfg.OperationTimeout,
		ShutdownDelay:    s.cfg.ShutdownDelay,
		OtherFiles:       s.cfg.Concurrency + otherFiles,
		Metrics:          s.metrics,
		Tracing:          s.tracing,
		Log:              s.log,
		Now:              s.Now,
		Upstream:         s.client.Stats,
		Redis:            s.redis,
		Close:            s.Close,
	}
	if o.AdminAddr == config.AdminOff {
		o.AdminAddr = ""
	}
	if s.NoResponseCache {
		o.Responses = nil
	}
	if config.Lookup(s.Environ, "GOMEMLIMIT") == "" {
		o.CacheMemory = int64(s.cfg.CacheMemory) //nolint:gosec // bounded by the settings
	}
	var examples playground.Options
	if s.demo != nil {
		examples, o.Dashboard = s.demo.Playground, s.demo.Dashboard
	}
	if s.cfg.Playground && !s.cfg.TrustedOnly {
		o.Playground = playground.Handler(examples)
	}
	return httpserver.New(o)
}

// Close ends what runs besides requests: loads in the background, whose leases are released, watched files, and the
// connections to Redis, authentik and the collector of traces.
func (s *Service) Close(ctx context.Context) error {
	err := errors.Join(s.in.callers.Close(ctx), s.cache.Close(ctx))
	s.responses.Close()
	s.client.Close()
	s.tracing.Close()
	return err
}

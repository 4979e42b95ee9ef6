package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"authentik-graphql/cache"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/bytesize"
	"authentik-graphql/internal/grants"
)

// Config is every setting of the service.
type Config struct {
	BasicSettings     `group:"Basics"`
	CacheSettings     `group:"Cache"`
	RedisSettings     `group:"Redis"`
	AccessSettings    `group:"Access"`
	LimitSettings     `group:"Limits"`
	OperationSettings `group:"Operations"`

	// Redaction is Redact, parsed.
	Redaction grants.Redaction
}

// BasicSettings are the settings that every installation needs first.
type BasicSettings struct {
	AuthentikURL    BaseURL      `env:"AUTHENTIK_URL" example:"https://auth.example.com" help:"Base URL of authentik, with its path prefix if it has one. Required, except with -demo, which brings a fake authentik."`
	AuthentikCAFile string       `env:"AUTHENTIK_CA_FILE" example:"/etc/ssl/authentik.pem" help:"PEM file of certificates to trust for authentik, in addition to the system's."`
	AuthentikPins   fingerprints `env:"AUTHENTIK_CERT_SHA256" example:"5270c37850d4465ec6b741c2ead2f30e02f675c162078d7096e41d6f33440268" help:"SHA-256 fingerprints of certificates in hexadecimal, separated by commas. authentik must present one of them, whatever its names, issuer and dates: for a certificate that cannot be verified, in place of AUTHENTIK_CA_FILE."`
	ListenAddr      string       `env:"LISTEN_ADDR" envDefault:":8080" example:"127.0.0.1:8080" help:"Address to listen on; :8080 is port 8080 on every interface. With -demo the default is 127.0.0.1:8080."`
}

// CacheSettings are the settings of how long values are cached, and in how much memory.
type CacheSettings struct {
	CacheTTL             time.Duration `env:"CACHE_TTL" envDefault:"5s" range:"0s to 24h" example:"5s" help:"Serve a cached value for this long without asking authentik again. 0s turns off the cache, stale values, CACHE_NEGATIVE_TTL and CACHE_PROVIDER_TTL."`
	StaleWhileRevalidate time.Duration `env:"CACHE_STALE_WHILE_REVALIDATE" envDefault:"0s" range:"0s to 24h" example:"2s" help:"For this long after CACHE_TTL, or CACHE_PROVIDER_TTL for a provider, serve the stale value at once and refresh it in the background. 0s turns this off."`
	StaleIfError         time.Duration `env:"CACHE_STALE_IF_ERROR" envDefault:"30s" range:"0s to 24h" example:"30s" help:"For this long after CACHE_TTL, or CACHE_PROVIDER_TTL for a provider, serve the stale value, marked as stale, if authentik fails. 0s turns this off."`
	NegativeTTL          time.Duration `env:"CACHE_NEGATIVE_TTL" envDefault:"2s" range:"0s to 24h" example:"2s" help:"Repeat a NOT_FOUND or FORBIDDEN to its caller for this long without asking authentik again. 0s turns this off."`
	ProviderTTL          time.Duration `env:"CACHE_PROVIDER_TTL" envDefault:"60s" range:"0s to 24h" example:"60s" help:"Serve what authentik said about an OAuth2 provider, a refusal too, for this long without asking again. 0s turns this off."`
	CacheMemory          bytesize.Size `env:"CACHE_MEMORY" envDefault:"64MiB" range:"1MiB to 1PiB" example:"64MiB" help:"Memory for cached values, cached responses and parsed documents, at least 1MiB."`
}

// RedisSettings are the settings of the Redis that processes share.
type RedisSettings struct {
	RedisURL    Secret          `env:"REDIS_URL" secret:"true" example:"redis://127.0.0.1:6379/0" help:"Redis that several processes share as a cache: redis://, rediss:// or unix://. If unset, each process caches in its own memory alone."`
	RedisMode   cache.RedisMode `env:"REDIS_MODE" envDefault:"standalone" example:"cluster" help:"How Redis is deployed: standalone, cluster or sentinel."`
	RedisCAFile string          `env:"REDIS_CA_FILE" example:"/etc/ssl/redis.pem" help:"PEM file of certificates to trust for a rediss:// URL, in addition to the system's."`
	RedisPrefix string          `env:"REDIS_PREFIX" envDefault:"authentik-graphql:" example:"authentik-graphql:" help:"Prefix of every key and channel in Redis: 1 to 64 printable ASCII characters without blanks, {, } and *."`
	CacheSecret SecretKey       `env:"CACHE_SECRET" secret:"true" example:"the output of: openssl rand -base64 32" help:"32 bytes in base64 that encrypt what goes to Redis. Required with REDIS_URL, and the same for all processes. Make one with: openssl rand -base64 32"`
}

// AccessSettings are the settings of who may call the service and what it shows.
type AccessSettings struct {
	TokenFile        string   `env:"AUTHENTIK_TOKEN_FILE" example:"/etc/authentik-graphql/token" help:"File with the service's own authentik token, which it uses for the callers of CALLERS_FILE in place of theirs. Reread when it changes."`
	CallersFile      string   `env:"CALLERS_FILE" example:"/etc/authentik-graphql/callers" help:"File of the tokens that the service accepts if it has a token of its own, AUTHENTIK_TOKEN_FILE. Each line holds a name, a SHA-256 in hexadecimal, and write if mutations are allowed. Reread when it changes."`
	RateLimit        rate     `env:"RATE_LIMIT" envDefault:"0" example:"5" help:"Requests per second that each process accepts from each caller, such as 5 or 0.5, with bursts of twice that. 0 sets no limit."`
	Redact           []string `env:"REDACT" example:"User.email,User.attributes" help:"Fields that are null for everyone, as Type.field, in addition to OAuth2Provider.clientSecret. -Type.field removes one from the list; none empties it, clientSecret included."`
	AllowedOrigins   origins  `env:"ALLOWED_ORIGINS" example:"https://dash.example.com" help:"Origins of web pages on other hosts that may call the service, separated by commas."`
	Playground       bool     `env:"PLAYGROUND" envDefault:"true" example:"false" help:"Serve the Playground at /."`
	Introspection    bool     `env:"INTROSPECTION" envDefault:"true" example:"false" help:"Answer introspection queries and suggest names in errors."`
	Federation       bool     `env:"FEDERATION" envDefault:"true" example:"false" help:"Answer a gateway's _entities and its _service, which shows the schema even if INTROSPECTION=false."`
	TrustedDocuments string   `env:"TRUSTED_DOCUMENTS" example:"/etc/authentik-graphql/documents.json" help:"JSON file of documents that clients may request by id: Apollo's persisted query manifest, or an object of texts by id."`
	TrustedOnly      bool     `env:"TRUSTED_DOCUMENTS_ONLY" envDefault:"false" example:"true" help:"Execute only trusted documents and a gateway's _service, which shows the schema unless FEDERATION=false. Turns the Playground off. Gateways that plan their own queries cannot be used."`
}

// LimitSettings are the settings of what a client, an operation and a request may cost.
type LimitSettings struct {
	UpstreamTimeout  time.Duration `env:"UPSTREAM_TIMEOUT" envDefault:"10s" range:"0s to 1000000h" example:"10s" help:"Time limit of a request to authentik, with its retries. 0s lets no request succeed."`
	Concurrency      int           `env:"UPSTREAM_CONCURRENCY" envDefault:"64" range:"1 to 10000" example:"64" help:"Maximum number of concurrent requests to authentik, from 1 to 10000. Up to 1,024 more wait for their turn."`
	OperationTimeout time.Duration `env:"OPERATION_TIMEOUT" envDefault:"15s" range:"1ms to 1000000h" example:"15s" help:"Time limit of an operation, at least 1ms. Keep it above UPSTREAM_TIMEOUT, which it otherwise cuts short."`
	MaxConnections   int           `env:"MAX_CONNECTIONS" envDefault:"10000" range:"1 to 1000000" example:"10000" help:"Maximum number of open connections. Requests on further ones are answered with 503."`

	document.Limits
}

// OperationSettings are the settings of those who run the service.
type OperationSettings struct {
	AdminAddr     string        `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9464" example:"127.0.0.1:9464" help:"Address of the admin listener, which serves metrics and probes. Each process of a host needs its own. off turns the listener off, which is the default with -demo."`
	AdminPprof    bool          `env:"ADMIN_PPROF" envDefault:"false" example:"true" help:"Serve profiles of the process (Go's pprof) at /debug/pprof/ of ADMIN_ADDR."`
	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" envDefault:"0s" range:"0s to 24h" example:"5s" help:"Keep serving for this long after SIGTERM while /readyz answers 503, so that load balancers can deregister this process."`
	LogLevel      slog.Level    `env:"LOG_LEVEL" envDefault:"INFO" example:"info" help:"Lowest level that is logged: debug, info, warn or error."`
	LogFormat     string        `env:"LOG_FORMAT" envDefault:"json" example:"text" help:"Format of log lines: json or text. With -demo the default is text."`
}

// demoDefaults are the defaults that -demo changes.
var demoDefaults = map[string]string{"LISTEN_ADDR": "127.0.0.1:8080", "ADMIN_ADDR": AdminOff, "LOG_FORMAT": "text"}

// Load reads the settings from an environment. Its error joins the first mistake of each setting, with the
// setting's name, what is wrong and an example. With demo, AUTHENTIK_URL is ignored.
func Load(environ []string, demo bool) (Config, error) {
	m := mistakes{}
	vars := variables(environ, m)
	if demo {
		delete(vars, "AUTHENTIK_URL")
		for name, value := range demoDefaults {
			vars[name] = cmp.Or(vars[name], value)
		}
	}
	var c Config
	if err := env.ParseWithOptions(&c, env.Options{Environment: vars}); err != nil {
		m.addParseErrors(err)
	}
	c.validate(demo, m)
	return c, m.join()
}

// ListenAddr reads LISTEN_ADDR alone.
func ListenAddr(environ []string) (string, error) {
	addr := cmp.Or(Lookup(environ, "LISTEN_ADDR"), settingNamed("LISTEN_ADDR").Default)
	if !IsAddr(addr) {
		return "", mistake("LISTEN_ADDR", "is not host:port")
	}
	return addr, nil
}

// Lookup returns a variable of an environment as a process sees it, which is the last of several.
func Lookup(environ []string, name string) string { return env.ToMap(environ)[name] }

// variables returns the variables that are set and not empty. A secret may be given as NAME_FILE, the path of
// a file that holds it.
func variables(environ []string, m mistakes) map[string]string {
	vars := env.ToMap(environ)
	maps.DeleteFunc(vars, func(_, value string) bool { return value == "" })
	for _, s := range Settings() {
		path, given := vars[s.Name+"_FILE"]
		if !s.Secret || !given {
			continue
		}
		if _, both := vars[s.Name]; both {
			m.add(s.Name, fmt.Errorf("%s and %s_FILE are both set; set one of them", s.Name, s.Name))
			continue
		}
		content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			m.add(s.Name, fmt.Errorf("%s_FILE cannot be read: %w", s.Name, err))
		} else if text := strings.TrimSpace(string(content)); text != "" {
			vars[s.Name] = text
		}
	}
	return vars
}

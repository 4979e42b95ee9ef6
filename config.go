package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/callers"
	"authentik-graphql/internal/envvalue"
	"authentik-graphql/internal/grants"
)

// Config is every setting of the service. It is validated once, at start, and never changes. The
// tags are the one source of names, defaults and meanings: -help and the table of docs/settings.md follow
// them.
type Config struct {
	ListenAddr           listenAddr      `env:"LISTEN_ADDR" envDefault:":8080" example:"127.0.0.1:8080" help:"Address to listen on; :8080 is port 8080 on every interface. With -demo the default is 127.0.0.1:8080."`
	AdminAddr            adminAddr       `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9464" example:"127.0.0.1:9464" help:"Address to listen on for those who run the service, with its metrics; every process of a host needs its own. off turns it off, which is the default with -demo."`
	AdminPprof           bool            `env:"ADMIN_PPROF" envDefault:"false" example:"true" help:"Serve profiles of the process (Go's pprof) at /debug/pprof/ of ADMIN_ADDR."`
	AuthentikURL         baseURL         `env:"AUTHENTIK_URL" example:"https://auth.example.com" help:"authentik's address, with its path prefix if it has one. Required, but for -demo, which brings its own authentik."`
	AuthentikCAFile      string          `env:"AUTHENTIK_CA_FILE" example:"/etc/ssl/authentik.pem" help:"PEM file of certificates to trust beside the system's, for authentik's self-signed one."`
	TokenFile            string          `env:"AUTHENTIK_TOKEN_FILE" example:"/etc/authentik-graphql/token" help:"File with this service's own token of authentik, which is then used for the callers of CALLERS_FILE instead of theirs. Read again when it changes."`
	CallersFile          string          `env:"CALLERS_FILE" example:"/etc/authentik-graphql/callers" help:"File of the tokens that this service accepts when it asks authentik with its own, that of AUTHENTIK_TOKEN_FILE; a line each: name, SHA-256 in hexadecimal, and write if mutations are allowed. Read again when it changes."`
	UpstreamTimeout      time.Duration   `env:"UPSTREAM_TIMEOUT" envDefault:"10s" example:"10s" help:"Longest wait for an answer of authentik, with retries; 0s leaves it no time at all."`
	Concurrency          concurrency     `env:"UPSTREAM_CONCURRENCY" envDefault:"64" example:"64" help:"Most calls to authentik at once, from 1 to 10000; 1,024 more may wait for their turn."`
	RedisURL             secretText      `env:"REDIS_URL" secret:"true" example:"redis://127.0.0.1:6379/0" help:"Redis shared by several processes: redis://, rediss:// or unix://. Without it the cache is in memory alone."`
	RedisMode            cache.RedisMode `env:"REDIS_MODE" envDefault:"standalone" example:"cluster" help:"How that Redis is run: standalone, cluster or sentinel."`
	RedisCAFile          string          `env:"REDIS_CA_FILE" example:"/etc/ssl/redis.pem" help:"PEM file of certificates to trust beside the system's, for a rediss:// URL."`
	RedisPrefix          string          `env:"REDIS_PREFIX" envDefault:"authentik-graphql:" example:"authentik-graphql:" help:"What every name in Redis begins with: 1 to 64 printable ASCII characters, no blank, {, } or *."`
	CacheSecret          secretKey       `env:"CACHE_SECRET" secret:"true" example:"the output of: openssl rand -base64 32" help:"32 bytes in base64 that seal what goes to Redis. Required with REDIS_URL; without it a random one is made at start. Make one with: openssl rand -base64 32"`
	CacheTTL             time.Duration   `env:"CACHE_TTL" envDefault:"5s" example:"5s" help:"How long an answer is fresh; 0s turns off caching, stale answers and CACHE_NEGATIVE_TTL."`
	StaleWhileRevalidate time.Duration   `env:"CACHE_STALE_WHILE_REVALIDATE" envDefault:"0s" example:"2s" help:"How long past its freshness (CACHE_TTL) an answer is still given at once, while it is fetched anew in the background; 0s turns this off."`
	StaleIfError         time.Duration   `env:"CACHE_STALE_IF_ERROR" envDefault:"30s" example:"30s" help:"How long past its freshness (CACHE_TTL) an answer is still given, marked as stale, when authentik does not work; 0s turns this off."`
	NegativeTTL          time.Duration   `env:"CACHE_NEGATIVE_TTL" envDefault:"2s" example:"2s" help:"How long a NOT_FOUND or FORBIDDEN is repeated to its caller without asking again; 0s turns this off."`
	CacheMemory          byteSize        `env:"CACHE_MEMORY" envDefault:"64MiB" example:"64MiB" help:"Memory for cached answers."`
	Redact               list            `env:"REDACT" example:"User.email,User.attributes" help:"Fields that answer null to everybody, as Type.field, added to OAuth2Provider.clientSecret. -Type.field takes one away; none redacts nothing, clientSecret included."`
	Playground           bool            `env:"PLAYGROUND" envDefault:"true" example:"false" help:"Serve the Playground at /."`
	Introspection        bool            `env:"INTROSPECTION" envDefault:"true" example:"false" help:"Answer introspection queries and suggest names in errors."`
	Federation           bool            `env:"FEDERATION" envDefault:"true" example:"false" help:"Answer a gateway's _service, whatever INTROSPECTION says, and its _entities."`
	AllowedOrigins       origins         `env:"ALLOWED_ORIGINS" example:"https://dash.example.com" help:"Origins of web pages on other hosts that may call the service, separated by commas."`
	TrustedDocuments     string          `env:"TRUSTED_DOCUMENTS" example:"/etc/authentik-graphql/documents.json" help:"JSON file of documents that may be asked for by id: Apollo's persisted query manifest, or an object of texts by id."`
	TrustedOnly          bool            `env:"TRUSTED_DOCUMENTS_ONLY" envDefault:"false" example:"true" help:"Run nothing but trusted documents and a gateway's _service, which shows the schema unless FEDERATION=false. Turns the Playground off; gateways that plan their own queries cannot be used."`
	ShutdownDelay        time.Duration   `env:"SHUTDOWN_DELAY" envDefault:"0s" example:"5s" help:"How long requests are still taken after SIGTERM, while /readyz says 503: what whoever sends them here takes to notice."`
	RateLimit            perSecond       `env:"RATE_LIMIT" envDefault:"0" example:"5" help:"Most requests a second of each caller, such as 5 or 0.5, with bursts of twice that; for each process apart. 0 sets no limit."`
	LogLevel             slog.Level      `env:"LOG_LEVEL" envDefault:"INFO" example:"info" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat            logFormat       `env:"LOG_FORMAT" envDefault:"json" example:"text" help:"Form of log lines, json or text. With -demo the default is text."`

	MaxConnections   envvalue.Count `env:"MAX_CONNECTIONS" envDefault:"10000" example:"10000" help:"Most open connections."`
	OperationTimeout time.Duration  `env:"OPERATION_TIMEOUT" envDefault:"15s" example:"15s" help:"Longest time of one operation. Keep it above UPSTREAM_TIMEOUT, which it otherwise cuts short."`

	document.Limits

	redaction grants.Redaction
	// accepted are tokens that authentik is known to accept.
	accepted []string
	trusted  graph.Trusted
	// noResponses keeps no cached responses, to compare with what is answered without.
	noResponses bool
	// now is the clock by which answers are judged.
	now func() time.Time
	// ownMemoryLimit says that GOMEMLIMIT is set: Go obeys it by itself, and nothing else may.
	ownMemoryLimit bool
	// ownGCPercent says the same of GOGC.
	ownGCPercent bool
	// traces is how traces are sent, empty if they are not.
	traces otlpProtocol
	// dashboard is served by -demo alone.
	dashboard dashboard
}

// The defaults that -demo changes.
var demoDefaults = map[string]string{"LISTEN_ADDR": "127.0.0.1:8080", "ADMIN_ADDR": "off", "LOG_FORMAT": "text"}

// loadConfig reads the settings from an environment. All mistakes are reported together, each
// with the setting's name, what is wrong and an example, and never with a secret's value.
func loadConfig(environ []string, demo bool) (Config, error) {
	vars, errs := environment(environ)
	if demo {
		delete(vars, "AUTHENTIK_URL")
		for name, value := range demoDefaults {
			if _, set := vars[name]; !set {
				vars[name] = value
			}
		}
	}
	var cfg Config
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: vars}); err != nil {
		errs = append(errs, settingErrors(err)...)
	}
	cfg.now = time.Now
	_, cfg.ownMemoryLimit = vars["GOMEMLIMIT"]
	_, cfg.ownGCPercent = vars["GOGC"]
	errs = append(errs, cfg.validate(demo)...)
	traces, otelErrs := otelVars(vars).protocol()
	cfg.traces, errs = traces, append(errs, otelErrs...)
	return cfg, errors.Join(firstOfEach(errs)...)
}

// firstOfEach keeps the first mistake of each setting, with whose name, or NAME_FILE, it begins: a
// value that cannot be read would also be missing or out of range.
func firstOfEach(errs []error) []error {
	names := map[string]string{}
	for _, s := range settings() {
		names[s.Name] = s.Name
		if s.Secret {
			names[s.Name+"_FILE"] = s.Name
		}
	}
	told := map[string]bool{}
	return slices.DeleteFunc(errs, func(err error) bool {
		word, _, _ := strings.Cut(err.Error(), " ")
		name := names[word]
		again := name != "" && told[name]
		told[name] = true
		return again
	})
}

// environment makes a map of the set variables: an empty one is an unset one. A secret may be
// given as NAME_FILE, the path of a file that holds it.
func environment(environ []string) (map[string]string, []error) {
	vars := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && value != "" {
			vars[name] = value
		}
	}
	var errs []error
	for _, s := range settings() {
		path, given := vars[s.Name+"_FILE"]
		if !s.Secret || !given {
			continue
		}
		if _, both := vars[s.Name]; both {
			errs = append(errs, fmt.Errorf("%s and %s_FILE are both set; set one of them", s.Name, s.Name))
			continue
		}
		content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			errs = append(errs, fmt.Errorf("%s_FILE cannot be read: %w", s.Name, err))
			continue
		}
		if text := strings.TrimSpace(string(content)); text != "" {
			vars[s.Name] = text
		}
	}
	return vars, errs
}

// maxCacheTime is far above any use, and low enough that all times can be added up and a revocation
// can be remembered for longer.
const maxCacheTime = 24 * time.Hour

// validate checks what no single value shows.
func (c *Config) validate(demo bool) (errs []error) {
	if c.AuthentikURL.URL == nil && !demo {
		errs = append(errs, settingError("AUTHENTIK_URL", "is required"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"UPSTREAM_TIMEOUT", c.UpstreamTimeout},
		{"CACHE_TTL", c.CacheTTL},
		{"CACHE_STALE_WHILE_REVALIDATE", c.StaleWhileRevalidate},
		{"CACHE_STALE_IF_ERROR", c.StaleIfError},
		{"CACHE_NEGATIVE_TTL", c.NegativeTTL},
		{"SHUTDOWN_DELAY", c.ShutdownDelay},
	} {
		switch {
		case d.value < 0:
			errs = append(errs, settingError(d.name, "must not be negative"))
		case d.value > maxCacheTime && d.name != "UPSTREAM_TIMEOUT":
			errs = append(errs, settingError(d.name, "must not be over 24h"))
		}
	}
	if c.RedisURL != "" && c.CacheSecret == nil {
		errs = append(errs, settingError("CACHE_SECRET", "is required with REDIS_URL, to seal what goes there"))
	}
	if c.AdminPprof && c.AdminAddr == adminOff {
		errs = append(errs, settingError("ADMIN_ADDR", "is required with ADMIN_PPROF"))
	}
	errs = append(errs, c.validateRedis()...)
	err := c.validateServiceMode()
	if err != nil {
		errs = append(errs, err)
	}
	if c.redaction, err = grants.ParseRedaction(c.Redact); err != nil {
		errs = append(errs, settingError("REDACT", err.Error()))
	}
	return append(errs, c.validateLimits()...)
}

// validateServiceMode reports the mistakes of the two settings and of their files.
func (c *Config) validateServiceMode() error {
	switch {
	case c.TokenFile != "" && c.CallersFile == "":
		return settingError("CALLERS_FILE", "is required with AUTHENTIK_TOKEN_FILE")
	case c.TokenFile == "" && c.CallersFile != "":
		return settingError("AUTHENTIK_TOKEN_FILE", "is required with CALLERS_FILE")
	}
	_, err := callers.Open(c.TokenFile, c.CallersFile)
	return err
}

func (c *Config) validateLimits() (errs []error) {
	if c.OperationTimeout < time.Millisecond {
		errs = append(errs, settingError("OPERATION_TIMEOUT", "must be at least 1ms"))
	}
	if c.CacheMemory < 1<<20 {
		errs = append(errs, settingError("CACHE_MEMORY", "must be at least 1MiB"))
	}
	switch {
	case c.TrustedDocuments == "" && c.TrustedOnly:
		errs = append(errs, settingError("TRUSTED_DOCUMENTS", "is required with TRUSTED_DOCUMENTS_ONLY"))
	case c.TrustedDocuments != "":
		content, err := os.ReadFile(c.TrustedDocuments)
		if err != nil {
			return append(errs, fmt.Errorf("TRUSTED_DOCUMENTS cannot be read: %w", err))
		}
		if c.trusted, err = graph.ReadTrusted(content, c.Limits); err != nil {
			errs = append(errs, fmt.Errorf("TRUSTED_DOCUMENTS %w", err))
		}
	}
	return errs
}

func (c *Config) validateRedis() (errs []error) {
	printable := func(r rune) bool { return '!' <= r && r <= '~' && !strings.ContainsRune("{}*", r) }
	if n := len(c.RedisPrefix); n < 1 || n > 64 || strings.ContainsFunc(c.RedisPrefix, func(r rune) bool { return !printable(r) }) {
		errs = append(errs, settingError("REDIS_PREFIX", "must be 1 to 64 printable ASCII characters without blanks, {, } and *"))
	}
	if c.RedisURL != "" {
		client, err := newRedisClient(*c)
		if err != nil {
			return append(errs, err)
		}
		_ = client.Close()
		return errs
	}
	for _, s := range []struct{ name, value string }{
		{"REDIS_MODE", string(c.RedisMode)}, {"REDIS_CA_FILE", c.RedisCAFile}, {"REDIS_PREFIX", c.RedisPrefix},
	} {
		if s.value != "" && s.value != settingNamed(s.name).Default {
			errs = append(errs, settingError(s.name, "is set without REDIS_URL"))
		}
	}
	return errs
}

// settingErrors turns what the env library says into errors that name the setting.
func settingErrors(err error) (errs []error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			errs = append(errs, err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		what := "cannot be read as " + kindOf(field.Type)
		var own envvalue.Error
		if errors.As(parse.Err, &own) {
			what = string(own)
		}
		errs = append(errs, settingError(field.Tag.Get("env"), what))
	}
	return errs
}

func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration"
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[slog.Level]():
		return "a level: debug, info, warn or error"
	case reflect.TypeFor[cache.RedisMode]():
		return "a mode: standalone, cluster or sentinel"
	}
	return "a value"
}

func settingError(name, what string) error {
	return fmt.Errorf("%s %s; for example %s", name, what, settingNamed(name).Example)
}

// setting is one row of -help and of docs/settings.md.
type setting struct {
	Name, Default, Example, Help string
	Secret                       bool
}

// settings lists every setting in the order of Config.
func settings() []setting {
	var rows []setting
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		tag := field.Tag
		if tag.Get("env") == "" {
			continue
		}
		rows = append(rows, setting{
			Name:    tag.Get("env"),
			Default: tag.Get("envDefault"),
			Example: tag.Get("example"),
			Help:    tag.Get("help"),
			Secret:  tag.Get("secret") == "true",
		})
	}
	return rows
}

func settingNamed(name string) setting {
	all := settings()
	return all[slices.IndexFunc(all, func(s setting) bool { return s.Name == name })]
}

// LogValue shows the settings without their secrets.
func (c Config) LogValue() slog.Value {
	v := reflect.ValueOf(c)
	var attrs []slog.Attr
	for _, field := range reflect.VisibleFields(v.Type()) {
		value := v.FieldByIndex(field.Index)
		switch name := field.Tag.Get("env"); {
		case name == "":
		case field.Tag.Get("secret") == "true":
			attrs = append(attrs, slog.Bool(name+" set", !value.IsZero()))
		default:
			attrs = append(attrs, slog.String(name, fmt.Sprint(value.Interface())))
		}
	}
	return slog.GroupValue(attrs...)
}

// Format shows the settings without their secrets under every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.LogValue().String()) }

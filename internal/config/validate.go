package config

import (
	"strings"
	"time"

	"authentik-graphql/internal/grants"
)

// maxCacheTime is far above any use. It is low enough that all times can be added up and that a revocation
// can be remembered for longer.
const maxCacheTime = 24 * time.Hour

// validate checks the ranges of values and what they require of one another.
func (c *Config) validate(demo bool) (errs []error) {
	require := func(ok bool, name, what string) {
		if !ok {
			errs = append(errs, mistake(name, what))
		}
	}
	require(c.AuthentikURL.URL != nil || demo, "AUTHENTIK_URL", "is required")
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
		require(d.value >= 0, d.name, "must not be negative")
		require(d.value <= maxCacheTime || d.name == "UPSTREAM_TIMEOUT", d.name, "must not be over 24h")
	}
	require(c.OperationTimeout >= time.Millisecond, "OPERATION_TIMEOUT", "must be at least 1ms")
	require(c.CacheMemory >= 1<<20, "CACHE_MEMORY", "must be at least 1MiB")
	require(c.AdminAddr != AdminOff || !c.AdminPprof, "ADMIN_ADDR", "is required with ADMIN_PPROF")
	require(c.CallersFile != "" || c.TokenFile == "", "CALLERS_FILE", "is required with AUTHENTIK_TOKEN_FILE")
	require(c.TokenFile != "" || c.CallersFile == "", "AUTHENTIK_TOKEN_FILE", "is required with CALLERS_FILE")
	require(c.TrustedDocuments != "" || !c.TrustedOnly, "TRUSTED_DOCUMENTS", "is required with TRUSTED_DOCUMENTS_ONLY")
	var err error
	if c.Redaction, err = grants.ParseRedaction(c.Redact); err != nil {
		errs = append(errs, mistake("REDACT", err.Error()))
	}
	return append(errs, c.validateRedis()...)
}

func (c *Config) validateRedis() (errs []error) {
	unusable := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("{}*", r) }
	if n := len(c.RedisPrefix); n < 1 || n > 64 || strings.ContainsFunc(c.RedisPrefix, unusable) {
		errs = append(errs, mistake("REDIS_PREFIX", "must be 1 to 64 printable ASCII characters without blanks, {, } and *"))
	}
	if c.RedisURL != "" {
		if c.CacheSecret.Secret == "" {
			errs = append(errs, mistake("CACHE_SECRET", "is required with REDIS_URL, to encrypt what goes there"))
		}
		return errs
	}
	for _, s := range []struct{ name, value string }{
		{"REDIS_MODE", string(c.RedisMode)}, {"REDIS_CA_FILE", c.RedisCAFile}, {"REDIS_PREFIX", c.RedisPrefix},
	} {
		if s.value != "" && s.value != settingNamed(s.name).Default {
			errs = append(errs, mistake(s.name, "is set without REDIS_URL"))
		}
	}
	return errs
}

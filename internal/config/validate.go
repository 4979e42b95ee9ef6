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
func (c *Config) validate(demo bool, m mistakes) {
	m.require(c.AuthentikURL.URL != nil || demo, "AUTHENTIK_URL", "is required")
	for name, value := range map[string]time.Duration{
		"UPSTREAM_TIMEOUT":             c.UpstreamTimeout,
		"CACHE_TTL":                    c.CacheTTL,
		"CACHE_STALE_WHILE_REVALIDATE": c.StaleWhileRevalidate,
		"CACHE_STALE_IF_ERROR":         c.StaleIfError,
		"CACHE_NEGATIVE_TTL":           c.NegativeTTL,
		"SHUTDOWN_DELAY":               c.ShutdownDelay,
	} {
		m.require(value >= 0, name, "must not be negative")
		m.require(value <= maxCacheTime || name == "UPSTREAM_TIMEOUT", name, "must not be over 24h")
	}
	m.require(c.OperationTimeout >= time.Millisecond, "OPERATION_TIMEOUT", "must be at least 1ms")
	m.require(c.CacheMemory >= 1<<20, "CACHE_MEMORY", "must be at least 1MiB")
	m.require(c.LogFormat == "json" || c.LogFormat == "text", "LOG_FORMAT", "must be json or text")
	m.require(IsAddr(c.ListenAddr), "LISTEN_ADDR", "is not host:port")
	m.require(c.AdminAddr == AdminOff || IsAddr(c.AdminAddr), "ADMIN_ADDR", "is neither host:port nor off")
	m.require(c.AdminAddr != AdminOff || !c.AdminPprof, "ADMIN_ADDR", "is required with ADMIN_PPROF")
	m.require(c.CallersFile != "" || c.TokenFile == "", "CALLERS_FILE", "is required with AUTHENTIK_TOKEN_FILE")
	m.require(c.TokenFile != "" || c.CallersFile == "", "AUTHENTIK_TOKEN_FILE", "is required with CALLERS_FILE")
	m.require(c.TrustedDocuments != "" || !c.TrustedOnly, "TRUSTED_DOCUMENTS", "is required with TRUSTED_DOCUMENTS_ONLY")
	var err error
	if c.Redaction, err = grants.ParseRedaction(c.Redact); err != nil {
		m.require(false, "REDACT", err.Error())
	}
	c.validateRedis(m)
}

func (c *Config) validateRedis(m mistakes) {
	unusable := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("{}*", r) }
	prefixOK := c.RedisPrefix != "" && len(c.RedisPrefix) <= 64 && !strings.ContainsFunc(c.RedisPrefix, unusable)
	m.require(prefixOK, "REDIS_PREFIX", "must be 1 to 64 printable ASCII characters without blanks, {, } and *")
	if c.RedisURL != "" {
		m.require(c.CacheSecret.Secret != "", "CACHE_SECRET", "is required with REDIS_URL, to encrypt what goes there")
		return
	}
	for name, value := range map[string]string{
		"REDIS_MODE": string(c.RedisMode), "REDIS_CA_FILE": c.RedisCAFile, "REDIS_PREFIX": c.RedisPrefix,
	} {
		m.require(value == "" || value == settingNamed(name).Default, name, "is set without REDIS_URL")
	}
}

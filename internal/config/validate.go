package config

import (
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"authentik-graphql/internal/grants"
)

// validate checks the ranges of values and what they require of one another.
func (c *Config) validate(demo bool, m mistakes) {
	m.require(c.AuthentikURL.URL != nil || demo, "AUTHENTIK_URL", "is required")
	c.validatePins(demo, m)
	c.validateRanges(m)
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

// validatePins refuses fingerprints where no certificate would be compared with them: whoever sets them relies on
// it. With roots it would be open whether either or both must match.
func (c *Config) validatePins(demo bool, m mistakes) {
	if len(c.AuthentikPins) == 0 {
		return
	}
	const name = "AUTHENTIK_CERT_SHA256"
	m.require(!demo, name, "cannot be used with -demo, whose authentik has no certificate")
	m.require(c.AuthentikCAFile == "", name, "cannot be used with AUTHENTIK_CA_FILE: set one of them")
	m.require(c.AuthentikURL.URL == nil || c.AuthentikURL.Scheme == "https", name, "needs an AUTHENTIK_URL that begins with https://")
}

// validateRanges checks the values that have a range. The ranges of times are far above any use, and low enough
// that times can be added up and that a revocation can be remembered for longer than a value is cached.
func (c *Config) validateRanges(m mistakes) {
	for _, s := range Settings() {
		if least, most, ok := strings.Cut(s.Range, " to "); ok {
			value := s.valueIn(c).Int()
			m.require(bound(least) <= value && value <= bound(most), s.Name, "must be from "+s.Range)
		}
	}
}

// bound reads an end of a range: a duration, a size or a number.
func bound(text string) int64 {
	if d, err := time.ParseDuration(text); err == nil {
		return int64(d)
	}
	n, _ := humanize.ParseBytes(text) // which reads plain numbers as well
	return int64(n)                   //nolint:gosec // it fits
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

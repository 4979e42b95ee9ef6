package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"authentik-graphql/cache"
)

// AdminOff is the value of ADMIN_ADDR that turns the admin listener off.
const AdminOff = "off"

// IsAddr reports whether an address is host:port.
func IsAddr(addr string) bool {
	_, _, err := net.SplitHostPort(addr)
	return err == nil
}

// BaseURL is the address of authentik; its URL is nil if none is set.
type BaseURL struct{ *url.URL }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (u *BaseURL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	switch {
	case err != nil, parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Host == "":
		return valueError("is not an http:// or https:// URL")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return valueError("must not have a user, query or fragment")
	case strings.Contains(parsed.Path, "/api/v3"):
		return valueError("is authentik's base address, without /api/v3")
	}
	u.URL = parsed
	return nil
}

func (u BaseURL) String() string {
	if u.URL == nil {
		return ""
	}
	return u.URL.String()
}

// fingerprints are SHA-256 hashes of certificates.
type fingerprints [][sha256.Size]byte

// UnmarshalText reads hexadecimal digits of either case, with the colons that openssl prints or without.
func (f *fingerprints) UnmarshalText(text []byte) error {
	for item := range strings.SplitSeq(string(text), ",") {
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(item), ":", ""))
		if err != nil || len(b) != sha256.Size {
			return valueError("must list SHA-256 fingerprints, each of 64 hexadecimal digits")
		}
		*f = append(*f, [sha256.Size]byte(b))
	}
	return nil
}

func (f fingerprints) String() string {
	all := make([]string, len(f))
	for i, hash := range f {
		all[i] = hex.EncodeToString(hash[:])
	}
	return strings.Join(all, ",")
}

type origins []string

func (o *origins) UnmarshalText(text []byte) error {
	for item := range strings.SplitSeq(string(text), ",") {
		item = strings.TrimSpace(item)
		parsed, err := url.Parse(item)
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" ||
			strings.Contains(parsed.Host, "*") || item != parsed.Scheme+"://"+parsed.Host {
			return valueError("must list whole origins, scheme and host, without wildcards or paths")
		}
		*o = append(*o, item)
	}
	return nil
}

// rate is a number of requests per second, 0 for no limit.
type rate float64

func (r *rate) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || strings.Trim(string(text), "0123456789.") != "" || n != 0 && (n < 0.001 || n > 1e6) {
		return valueError("must be 0 or from 0.001 to 1000000, in decimal")
	}
	*r = rate(n)
	return nil
}

// Secret prints as "[redacted]".
type Secret string

// Format implements [fmt.Formatter].
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalJSON implements the interface of encoding/json.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// SecretKey is a key of [cache.SecretSize] bytes, empty if none is set.
type SecretKey struct{ Secret }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *SecretKey) UnmarshalText(text []byte) error {
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(string(text)); err == nil && len(b) == cache.SecretSize {
			k.Secret = Secret(b)
			return nil
		}
	}
	return valueError("is not 32 bytes in base64")
}

package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"authentik-graphql/cache"
	"authentik-graphql/internal/envvalue"
)

type listenAddr string

func (a *listenAddr) UnmarshalText(text []byte) error {
	if _, _, err := net.SplitHostPort(string(text)); err != nil {
		return envvalue.Error("is not host:port")
	}
	*a = listenAddr(text)
	return nil
}

// adminAddr is a listenAddr or adminOff.
type adminAddr listenAddr

const adminOff adminAddr = "off"

func (a *adminAddr) UnmarshalText(text []byte) error {
	if adminAddr(text) == adminOff {
		*a = adminOff
		return nil
	}
	if (*listenAddr)(a).UnmarshalText(text) != nil {
		return envvalue.Error("is neither host:port nor off")
	}
	return nil
}

type baseURL struct{ *url.URL }

func (u *baseURL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	switch {
	case err != nil, parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Host == "":
		return envvalue.Error("is not an http:// or https:// URL")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return envvalue.Error("must not have a user, query or fragment")
	case strings.Contains(parsed.Path, "/api/v3"):
		return envvalue.Error("is authentik's base address, without /api/v3")
	}
	u.URL = parsed
	return nil
}

func (u baseURL) String() string {
	if u.URL == nil {
		return ""
	}
	return u.URL.String()
}

type byteSize uint64

func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<50 {
		return envvalue.Error("is not a size")
	}
	*b = byteSize(n)
	return nil
}

func (b byteSize) String() string { return humanize.IBytes(uint64(b)) }

type concurrency int

func (c *concurrency) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 10000 {
		return envvalue.Error("must be from 1 to 10000")
	}
	*c = concurrency(n)
	return nil
}

type list []string

func (l *list) UnmarshalText(text []byte) error {
	*l = strings.Split(string(text), ",")
	return nil
}

type origins []string

func (o *origins) UnmarshalText(text []byte) error {
	for item := range strings.SplitSeq(string(text), ",") {
		item = strings.TrimSpace(item)
		parsed, err := url.Parse(item)
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" ||
			strings.Contains(parsed.Host, "*") || item != parsed.Scheme+"://"+parsed.Host {
			return envvalue.Error("must list whole origins, scheme and host, without wildcards or paths")
		}
		*o = append(*o, item)
	}
	return nil
}

type logFormat string

func (f *logFormat) UnmarshalText(text []byte) error {
	if s := string(text); s != "json" && s != "text" {
		return envvalue.Error("must be json or text")
	}
	*f = logFormat(text)
	return nil
}

// secretText and secretKey print as "[redacted]".
type secretText string

func (s secretText) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "[redacted]") }
func (s secretText) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }
func (s secretText) LogValue() slog.Value         { return slog.StringValue("[redacted]") }

type secretKey []byte

func (k *secretKey) UnmarshalText(text []byte) error {
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(string(text)); err == nil && len(b) == cache.SecretSize {
			*k = b
			return nil
		}
	}
	return envvalue.Error("is not 32 bytes in base64")
}

func (k secretKey) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "[redacted]") }
func (k secretKey) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// LogValue is needed beside Format: slog's text handler writes any slice of bytes as it is.
func (k secretKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

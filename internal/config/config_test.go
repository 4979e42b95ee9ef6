package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"time"

	"authentik-graphql/cache"
)

const (
	testSecret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	testURL    = "AUTHENTIK_URL=https://auth.example.com"
	testPin    = "5270c37850d4465ec6b741c2ead2f30e02f675c162078d7096e41d6f33440268"
)

func TestConfigMistakes(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		want    []string // each in the error, all together
	}{
		{"nothing", nil, []string{"AUTHENTIK_URL is required; for example https://auth.example.com"}},
		{"no scheme", []string{"AUTHENTIK_URL=auth.example.com"}, []string{"AUTHENTIK_URL is not an http:// or https:// URL"}},
		{"user in URL", []string{"AUTHENTIK_URL=https://u:s3cr3t@auth.example.com"}, []string{"AUTHENTIK_URL must not have a user"}},
		{"API in URL", []string{testURL + "/api/v3/"}, []string{"AUTHENTIK_URL is authentik's base address"}},
		{"short fingerprint", []string{testURL, "AUTHENTIK_CERT_SHA256=" + testPin[2:]}, []string{"AUTHENTIK_CERT_SHA256 must list SHA-256 fingerprints, each of 64 hexadecimal digits; for example 5270c378"}},
		{"long fingerprint", []string{testURL, "AUTHENTIK_CERT_SHA256=" + testPin + "00"}, []string{"AUTHENTIK_CERT_SHA256 must list SHA-256 fingerprints"}},
		{"fingerprint not hexadecimal", []string{testURL, "AUTHENTIK_CERT_SHA256=" + "zz" + testPin[2:]}, []string{"AUTHENTIK_CERT_SHA256 must list SHA-256 fingerprints"}},
		{"fingerprint of SHA-1", []string{testURL, "AUTHENTIK_CERT_SHA256=" + testPin[:40]}, []string{"AUTHENTIK_CERT_SHA256 must list SHA-256 fingerprints"}},
		{"fingerprint missing after a comma", []string{testURL, "AUTHENTIK_CERT_SHA256=" + testPin + ","}, []string{"AUTHENTIK_CERT_SHA256 must list SHA-256 fingerprints"}},
		{"no fingerprint", []string{testURL, "AUTHENTIK_CERT_SHA256=none"}, []string{"AUTHENTIK_CERT_SHA256 must list SHA-256 fingerprints"}},
		{"fingerprint and roots", []string{testURL, "AUTHENTIK_CERT_SHA256=" + testPin, "AUTHENTIK_CA_FILE=x"}, []string{"AUTHENTIK_CERT_SHA256 cannot be used with AUTHENTIK_CA_FILE"}},
		{"fingerprint without TLS", []string{"AUTHENTIK_URL=http://auth.example.com", "AUTHENTIK_CERT_SHA256=" + testPin}, []string{"AUTHENTIK_CERT_SHA256 needs an AUTHENTIK_URL that begins with https://"}},
		{"no port", []string{testURL, "LISTEN_ADDR=localhost"}, []string{"LISTEN_ADDR is not host:port; for example 127.0.0.1:8080"}},
		{"no port of the admin listener", []string{testURL, "ADMIN_ADDR=9464"}, []string{"ADMIN_ADDR is neither host:port nor off; for example 127.0.0.1:9464"}},
		{"off for the wrong one", []string{testURL, "LISTEN_ADDR=off"}, []string{"LISTEN_ADDR is not host:port"}},
		{"no unit", []string{testURL, "CACHE_TTL=5"}, []string{"CACHE_TTL cannot be read as a duration; for example 5s"}},
		{"negative", []string{testURL, "CACHE_TTL=-1s", "UPSTREAM_TIMEOUT=-1s"}, []string{"CACHE_TTL must be from 0s to 24h; for example 5s", "UPSTREAM_TIMEOUT must be from 0s"}},
		{"no calls at once", []string{testURL, "UPSTREAM_CONCURRENCY=0"}, []string{"UPSTREAM_CONCURRENCY must be from 1 to 10000; for example 64"}},
		{"too many calls at once", []string{testURL, "UPSTREAM_CONCURRENCY=10001"}, []string{"UPSTREAM_CONCURRENCY must be from 1 to 10000"}},
		{"not a number of calls", []string{testURL, "UPSTREAM_CONCURRENCY=many"}, []string{"UPSTREAM_CONCURRENCY cannot be read as a whole number; for example 64"}},
		{"too long", []string{testURL, "CACHE_TTL=25h", "CACHE_STALE_IF_ERROR=1000h"}, []string{"CACHE_TTL must be from 0s to 24h; for example 5s", "CACHE_STALE_IF_ERROR must be from 0s to 24h"}},
		{"not a size", []string{testURL, "CACHE_MEMORY=lots"}, []string{"CACHE_MEMORY cannot be read as a size; for example 64MiB"}},
		{"too little memory", []string{testURL, "CACHE_MEMORY=1MB"}, []string{"CACHE_MEMORY must be from 1MiB to 1PiB"}},
		{"sizes", []string{testURL, "MAX_BODY=0", "MAX_ANSWER=1025MiB"}, []string{"MAX_BODY must be from 1B to 1GiB", "MAX_ANSWER must be from 1B to 1GiB"}},
		{"counts", []string{testURL, "MAX_TOKENS=0", "MAX_DEPTH=1000001"}, []string{"MAX_TOKENS must be from 1 to 1000000", "MAX_DEPTH must be from 1 to 1000000"}},
		{"no time", []string{testURL, "OPERATION_TIMEOUT=0s", "UPSTREAM_TIMEOUT=2562047h"}, []string{"OPERATION_TIMEOUT must be from 1ms", "UPSTREAM_TIMEOUT must be from 0s"}},
		{"not a bool", []string{testURL, "PLAYGROUND=maybe"}, []string{"PLAYGROUND cannot be read as true or false"}},
		{"not a level", []string{testURL, "LOG_LEVEL=loud"}, []string{"LOG_LEVEL cannot be read as a level"}},
		{"not a format", []string{testURL, "LOG_FORMAT=xml"}, []string{"LOG_FORMAT must be json or text"}},
		{"Redis without secret", []string{testURL, "REDIS_URL=redis://:s3cr3t@127.0.0.1"}, []string{"CACHE_SECRET is required with REDIS_URL", "openssl rand -base64 32"}},
		{"not a Redis mode", []string{testURL, "REDIS_URL=redis://127.0.0.1", "REDIS_MODE=ring"}, []string{"REDIS_MODE cannot be read as a mode: standalone, cluster or sentinel"}},
		{"profiles without a listener", []string{testURL, "ADMIN_ADDR=off", "ADMIN_PPROF=true"}, []string{"ADMIN_ADDR is required with ADMIN_PPROF; for example 127.0.0.1:9464"}},
		{"Redis settings without Redis", []string{testURL, "REDIS_MODE=cluster", "REDIS_CA_FILE=x", "REDIS_PREFIX=x"}, []string{"REDIS_MODE is set without REDIS_URL", "REDIS_CA_FILE is set without REDIS_URL", "REDIS_PREFIX is set without REDIS_URL; for example authentik-graphql:"}},
		{"blank prefix", []string{testURL, "REDIS_URL=redis://127.0.0.1", "REDIS_PREFIX=a b"}, []string{"REDIS_PREFIX must be 1 to 64 printable ASCII characters"}},
		{"prefix with a hash tag", []string{testURL, "REDIS_URL=redis://127.0.0.1", "REDIS_PREFIX={a}"}, []string{"REDIS_PREFIX must be"}},
		{"prefix with a star", []string{testURL, "REDIS_URL=redis://127.0.0.1", "REDIS_PREFIX=a*"}, []string{"REDIS_PREFIX must be"}},
		{"prefix not ASCII", []string{testURL, "REDIS_URL=redis://127.0.0.1", "REDIS_PREFIX=ä:"}, []string{"REDIS_PREFIX must be"}},
		{"long prefix", []string{testURL, "REDIS_URL=redis://127.0.0.1", "REDIS_PREFIX=" + strings.Repeat("x", 65)}, []string{"REDIS_PREFIX must be"}},
		{"short secret", []string{testURL, "CACHE_SECRET=czNjcjN0"}, []string{"CACHE_SECRET is not 32 bytes in base64"}},
		{"secret not base64", []string{testURL, "CACHE_SECRET=s3cr3t!"}, []string{"CACHE_SECRET is not 32 bytes in base64"}},
		{"secret twice", []string{testURL, "CACHE_SECRET=" + testSecret, "CACHE_SECRET_FILE=x"}, []string{"CACHE_SECRET and CACHE_SECRET_FILE are both set"}},
		{"secret file missing", []string{testURL, "CACHE_SECRET_FILE=testdata/none"}, []string{"CACHE_SECRET_FILE cannot be read"}},
		{"unknown coordinate", []string{testURL, "REDACT=User.shoeSize"}, []string{`REDACT "User.shoeSize" cannot be redacted`}},
		{"non-null coordinate", []string{testURL, "REDACT=User.pk"}, []string{`REDACT "User.pk" cannot be redacted`}},
		{"any origin", []string{testURL, "ALLOWED_ORIGINS=*"}, []string{"ALLOWED_ORIGINS must list whole origins"}},
		{"wildcard origin", []string{testURL, "ALLOWED_ORIGINS=https://*.example.com"}, []string{"ALLOWED_ORIGINS must list whole origins"}},
		{"origin with path", []string{testURL, "ALLOWED_ORIGINS=https://a.example.com/"}, []string{"ALLOWED_ORIGINS must list whole origins"}},
		{"not a rate", []string{testURL, "RATE_LIMIT=fast"}, []string{"RATE_LIMIT must be 0 or from 0.001 to 1000000, in decimal; for example 5"}},
		{"negative rate", []string{testURL, "RATE_LIMIT=-1"}, []string{"RATE_LIMIT must be 0 or from"}},
		{"rate without an end", []string{testURL, "RATE_LIMIT=Inf"}, []string{"RATE_LIMIT must be 0 or from"}},
		{"rate with an exponent", []string{testURL, "RATE_LIMIT=1e3"}, []string{"RATE_LIMIT must be 0 or from"}},
		{"rate too small", []string{testURL, "RATE_LIMIT=0.0001"}, []string{"RATE_LIMIT must be 0 or from"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(tt.environ, false)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			for _, secret := range []string{"s3cr3t", testSecret, "czNjcjN0"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds a secret: %v", err)
				}
			}
		})
	}
}

// TestFirstMistakeOfEach checks that a value that cannot be parsed is reported once.
func TestFirstMistakeOfEach(t *testing.T) {
	for _, environ := range [][]string{
		{"AUTHENTIK_URL=auth.example.com"},
		{testURL, "MAX_BODY=-1"},
		{testURL, "OPERATION_TIMEOUT=x"},
		{testURL, "CACHE_SECRET=x", "CACHE_SECRET_FILE=x"},
		{testURL, "REDIS_URL=redis://127.0.0.1", "CACHE_SECRET_FILE=testdata/none"},
	} {
		if _, err := Load(environ, false); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: want one mistake, got %v", environ, err)
		}
	}
	if _, err := Load([]string{"MAX_BODY=-1", "MAX_ANSWER=-1"}, false); strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want one mistake of each of three settings, got %v", err)
	}
}

func TestConfigDefaultsAndValues(t *testing.T) {
	cfg, err := Load([]string{testURL, "CACHE_TTL=", "REDIS_URL=", "LOG_LEVEL=warn", "HOME=/", "CACHE_MEMORY=1GiB",
		"UPSTREAM_TIMEOUT=1000000h", "UPSTREAM_CONCURRENCY=10000", "ALLOWED_ORIGINS=https://a.example.com, http://127.0.0.1:3000"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.CacheTTL != 5*time.Second || cfg.LogLevel != slog.LevelWarn || cfg.CacheMemory != 1<<30 || cfg.ListenAddr != ":8080" || cfg.AdminAddr != "127.0.0.1:9464" ||
		cfg.Concurrency != 10000 || !cfg.Playground || !cfg.Introspection || !cfg.Federation || cfg.LogFormat != "json" || len(cfg.AllowedOrigins) != 2 || cfg.Redaction.String() != "OAuth2Provider.clientSecret" {
		t.Errorf("got %v", cfg)
	}
	if cfg.RedisMode != cache.Standalone || cfg.RedisCAFile != "" || cfg.RedisPrefix != "authentik-graphql:" {
		t.Errorf("Redis: got %v", cfg)
	}
	// The defaults may be set, and the longest prefix is valid.
	if _, err := Load([]string{testURL, "REDIS_MODE=standalone", "REDIS_PREFIX=authentik-graphql:"}, false); err != nil {
		t.Error(err)
	}
	prefix := strings.Repeat("~", 64)
	cfg, err = Load([]string{testURL, "REDIS_URL=redis://127.0.0.1", "REDIS_MODE=cluster", "REDIS_PREFIX=" + prefix, "CACHE_SECRET=" + testSecret}, false)
	if err != nil || cfg.RedisPrefix != prefix || cfg.RedisMode != cache.Cluster {
		t.Errorf("got %v, %v", cfg, err)
	}
	demo, err := Load([]string{"CACHE_TTL=0s"}, true)
	if err != nil || demo.AdminAddr != AdminOff || demo.ListenAddr != "127.0.0.1:8080" || demo.LogFormat != "text" || demo.CacheTTL != 0 || demo.Concurrency != 64 {
		t.Errorf("demo: %v, %v", demo, err)
	}
	if demo, err = Load([]string{"ADMIN_ADDR=127.0.0.1:1"}, true); err != nil || demo.AdminAddr != "127.0.0.1:1" {
		t.Errorf("demo with an admin listener: %v, %v", demo, err)
	}
}

// TestPins: fingerprints are read as openssl prints them and as others do, and -demo has no use for them.
func TestPins(t *testing.T) {
	second := "52:70:C3:78:50:D4:46:5E:C6:B7:41:C2:EA:D2:F3:0E:02:F6:75:C1:62:07:8D:70:96:E4:1D:6F:33:44:02:69"
	cfg, err := Load([]string{testURL, "AUTHENTIK_CERT_SHA256=" + testPin + ", " + second}, false)
	want := testPin + "," + testPin[:62] + "69"
	if err != nil || len(cfg.AuthentikPins) != 2 || cfg.AuthentikPins.String() != want || !strings.Contains(fmt.Sprint(cfg), want) {
		t.Errorf("got %v, %v", cfg, err)
	}
	for _, pin := range []string{testPin, "x"} {
		if _, err := Load([]string{testURL, "AUTHENTIK_CERT_SHA256=" + pin}, true); err == nil || !strings.Contains(err.Error(), "AUTHENTIK_CERT_SHA256 ") {
			t.Errorf("%s with -demo: %v", pin, err)
		}
	}
}

func TestSecretFromFile(t *testing.T) {
	dir := t.TempDir()
	secret, redis := filepath.Join(dir, "secret"), filepath.Join(dir, "redis")
	for name, text := range map[string]string{secret: testSecret + "\n", redis: "redis://:pw@127.0.0.1:6379/1\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load([]string{testURL, "CACHE_SECRET_FILE=" + secret, "REDIS_URL_FILE=" + redis}, false)
	if err != nil || string(cfg.CacheSecret.Secret) != "0123456789abcdef0123456789abcdef" || string(cfg.RedisURL) != "redis://:pw@127.0.0.1:6379/1" {
		t.Errorf("%v", err)
	}
}

func TestConfigPrintsNoSecret(t *testing.T) {
	cfg, err := Load([]string{testURL, "REDIS_URL=redis://:s3cr3t@127.0.0.1", "CACHE_SECRET=" + testSecret}, false)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{cfg, &cfg, cfg.CacheSecret, cfg.RedisURL, []Config{cfg}, map[string]any{"a": cfg.CacheSecret}} {
			_, _ = fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("x", "cfg", cfg, "pointer", &cfg, "secret", cfg.CacheSecret, "url", cfg.RedisURL)
	}
	if err := json.NewEncoder(&out).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cr3t", testSecret, "0123456789abcdef", "30313233", "48 49 50", "[48,49"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if !strings.Contains(out.String(), "auth.example.com") {
		t.Error("nothing is printed")
	}
}

// TestConfigShowsPaths checks that the paths of files are not hidden like secrets.
func TestConfigShowsPaths(t *testing.T) {
	cfg, err := Load([]string{testURL, "AUTHENTIK_TOKEN_FILE=/run/token", "CALLERS_FILE=/run/callers"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "settings", cfg)
	if !strings.Contains(out.String(), `"CALLERS_FILE":"/run/callers"`) {
		t.Errorf("%s", out.String())
	}
}

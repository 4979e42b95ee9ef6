package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/callers"
	"authentik-graphql/internal/config"
	"authentik-graphql/internal/telemetry/otlp"
)

// inputs are what the settings name: the content of files, and the client of Redis.
type inputs struct {
	authentikCAs *x509.CertPool        // nil for the system's
	redis        redis.UniversalClient // nil without Redis
	callers      *callers.Callers      // nil outside of service mode
	trusted      document.Trusted
	traces       *otlp.Client
}

// openInputs opens what the settings name. Its error joins all mistakes, each with the name of the setting.
func openInputs(cfg config.Config, environ []string) (in inputs, err error) {
	var errs [5]error
	in.authentikCAs, errs[0] = readCAs("AUTHENTIK_CA_FILE", cfg.AuthentikCAFile)
	in.redis, errs[1] = newRedisClient(cfg)
	if cfg.TokenFile != "" && cfg.CallersFile != "" { // config reports one alone
		in.callers, errs[2] = callers.Open(cfg.TokenFile, cfg.CallersFile)
	}
	in.trusted, errs[3] = readTrusted(cfg)
	in.traces, errs[4] = otlp.FromEnvironment(environ)
	return in, errors.Join(errs[:]...)
}

// close closes the client of Redis.
func (in inputs) close() {
	if in.redis != nil {
		_ = in.redis.Close()
	}
}

// newRedisClient makes a client that connects when it is used first, or nil without Redis.
func newRedisClient(cfg config.Config) (redis.UniversalClient, error) {
	if cfg.RedisURL == "" {
		return nil, nil
	}
	roots, err := readCAs("REDIS_CA_FILE", cfg.RedisCAFile)
	if err != nil {
		return nil, err
	}
	client, err := cache.NewRedisClient(cache.RedisOptions{URL: string(cfg.RedisURL), Mode: cfg.RedisMode, RootCAs: roots})
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL %w", err)
	}
	return client, nil
}

func readTrusted(cfg config.Config) (document.Trusted, error) {
	if cfg.TrustedDocuments == "" {
		return nil, nil
	}
	content, err := os.ReadFile(cfg.TrustedDocuments)
	if err != nil {
		return nil, fmt.Errorf("TRUSTED_DOCUMENTS cannot be read: %w", err)
	}
	trusted, err := document.ReadTrusted(content, graph.Schema(), cfg.Limits)
	if err != nil {
		return nil, fmt.Errorf("TRUSTED_DOCUMENTS %w", err)
	}
	return trusted, nil
}

// readCAs adds a setting's PEM file to the system's root certificates. It returns nil, which stands for the
// system's, if no file is set.
func readCAs(setting, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", setting, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", setting)
	}
	return pool, nil
}

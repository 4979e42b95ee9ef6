package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"authentik-graphql/internal/config"
)

// healthcheckTimeout bounds a health check. Container runtimes kill one that takes longer than they were told.
const healthcheckTimeout = 2 * time.Second

// healthcheck asks the service of this host and this environment whether it lives. It reads LISTEN_ADDR alone, so
// that it needs no secret. A mistake in it is an unhealthy service: container runtimes reserve every exit code but 0
// and 1.
func healthcheck(ctx context.Context, environ []string) error {
	addr, err := config.ListenAddr(environ)
	if err != nil {
		return fmt.Errorf("unhealthy: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	if err := getHealth(ctx, reachable(addr)); err != nil {
		return fmt.Errorf("unhealthy: %w", err)
	}
	return nil
}

// getHealth requests /healthz of addr, and no proxy that the environment may name.
func getHealth(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/healthz", nil)
	if err != nil {
		return err
	}
	dialer := &net.Dialer{}
	resp, err := (&http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr) // whose port may be a name
		},
	}).RoundTrip(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer within %s", addr, healthcheckTimeout)
	case err != nil:
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers /healthz with status %d", addr, resp.StatusCode)
	}
	return nil
}

// reachable returns an address at which this host reaches a listener on addr, a host:port.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

package main

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

// healthTimeout bounds a health check; container runtimes end one that takes longer than they were told.
const healthTimeout = 2 * time.Second

// runHealthcheck asks the service of this host and this environment whether it lives. Of the
// settings it reads LISTEN_ADDR alone, so that a check needs no secret; a mistake in it is an answer
// like any other, since container runtimes reserve every exit code but 0 and 1.
func runHealthcheck(ctx context.Context, environ []string) error {
	addr, err := config.ListenAddr(environ)
	if err != nil {
		return fmt.Errorf("unhealthy: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := askHealth(ctx, reachable(addr)); err != nil {
		return fmt.Errorf("unhealthy: %w", err)
	}
	return nil
}

// askHealth asks /healthz of what listens on addr, directly whatever proxy the environment names.
func askHealth(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/healthz", nil)
	if err != nil {
		return err
	}
	dialer := &net.Dialer{}
	resp, err := (&http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr) // also by the name of a port
		},
	}).RoundTrip(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer within %s", addr, healthTimeout)
	case err != nil:
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers /healthz with status %d", addr, resp.StatusCode)
	}
	return nil
}

// reachable gives an address of this host at which what listens on addr, a host:port, is found.
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

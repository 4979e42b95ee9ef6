// Package demo is what the service runs against with -demo: a fake authentik on a loopback port, tokens to
// try, a dashboard and a banner that says what there is. It knows nothing of settings and serves no GraphQL:
// internal/app wires the service to it.
package demo

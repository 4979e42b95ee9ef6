package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	"github.com/dustin/go-humanize/english"
	"github.com/redis/go-redis/v9"

	"authentik-graphql/internal/releases"
	"authentik-graphql/upstream"
)

// check reaches what the settings name and prints a line for each. Its error says that one of them failed. What is
// only worth knowing is a warning.
func (p *program) check(ctx context.Context) error {
	defer p.in.close()
	p.log = slog.New(slog.DiscardHandler) // the lines say what there is to say
	client := p.newClient(nil, nil)
	defer client.Close()
	r := &report{out: p.Stdout}
	r.result("settings", nil)
	r.result("authentik", client.Ready(ctx))
	if p.in.redis == nil {
		r.line("redis", "not used: REDIS_URL is not set")
	} else {
		r.result("redis", readRedis(ctx, p.in.redis, p.cfg.RedisPrefix))
	}
	if p.in.callers == nil {
		r.line("callers", "not used: each sends a token of authentik")
		r.line("version", "not known, nor whether it has published holes: authentik tells it to tokens alone, and AUTHENTIK_TOKEN_FILE is not set")
		r.line("providers", "not known: each caller's token decides whether they are shown")
	} else {
		token := p.in.callers.Token()
		tokenErr := tryToken(ctx, client, token)
		r.result("token", tokenErr)
		names, tokens := p.in.callers.Count()
		r.line("callers", fmt.Sprintf("ok, %s, %s", english.Plural(names, "caller", ""), english.Plural(tokens, "token", "")))
		if tokenErr == nil {
			version := r.version(client.Version(ctx, token))
			r.providers(version, tryProviders(ctx, client, token))
		} else {
			r.line("version", "not known: the token failed")
			r.line("providers", "not known: the token failed")
		}
	}
	if r.failed {
		return errors.New("the check failed")
	}
	return nil
}

// report prints what was found, a line for each thing that was looked at.
type report struct {
	out    io.Writer
	failed bool
}

func (r *report) line(what, state string) { _, _ = fmt.Fprintf(r.out, "%-10s %s\n", what, state) }

func (r *report) warn(what, warning string) { r.line(what, "WARNING  "+warning) }

func (r *report) result(what string, err error) {
	if err == nil {
		r.line(what, "ok")
		return
	}
	r.line(what, "FAILED  "+err.Error())
	r.failed = true
}

// version reports what authentik's version means, and returns it, or "" if it is not known. A version that cannot be
// learnt is no failure: the service does not need it.
func (r *report) version(a upstream.Answer[string], err error) string {
	if err != nil {
		r.line("version", "not known: "+err.Error())
		return ""
	}
	warnings := releases.Warnings(a.Value)
	for _, warning := range warnings {
		r.warn("version", warning)
	}
	if len(warnings) == 0 {
		r.line("version", "ok, "+a.Value)
	}
	return a.Value
}

// providers reports whether the token may view OAuth2 providers, which is what an attempt says.
func (r *report) providers(version string, err error) {
	switch {
	case err == nil:
		r.line("providers", "ok, the token may view them, or some of them")
	case !isKind(err, upstream.Forbidden):
		r.line("providers", "not known: "+err.Error())
	case releases.ShowsProviders(version):
		r.line("providers", "ok, the token may not view them, but this release shows them in each code and token")
	default:
		r.warn("providers", "the token may not view them: from 2025.12.5 and 2026.2.3 on most of their fields are null; "+
			"give its user the permission view_oauth2provider")
	}
}

// tryToken asks authentik with a token for the last id that there can be: authentik looks for the code only once it
// has accepted the token.
func tryToken(ctx context.Context, client *upstream.Client, token upstream.Credential) error {
	_, err := client.Retrieve(ctx, token, upstream.AuthorizationCodes, math.MaxInt32)
	switch {
	case isKind(err, upstream.NotFound):
		return nil
	case isKind(err, upstream.Unauthenticated):
		return errors.New("authentik rejects it")
	}
	return err
}

// tryProviders asks for the last provider that there can be in the same way: authentik looks for it only for those
// who may view providers. A permission on a single one of them is enough.
func tryProviders(ctx context.Context, client *upstream.Client, token upstream.Credential) error {
	_, err := client.Provider(ctx, token, math.MaxInt32)
	if isKind(err, upstream.NotFound) {
		return nil
	}
	return err
}

func isKind(err error, kind upstream.Kind) bool {
	e, ok := errors.AsType[*upstream.Error](err)
	return ok && e.Kind == kind
}

// readRedis reads a key as the cache does. A PING succeeds even on any node of a cluster that is down, and for
// a user who may read nothing.
func readRedis(ctx context.Context, client redis.UniversalClient, prefix string) error {
	if err := client.Get(ctx, prefix+"check").Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

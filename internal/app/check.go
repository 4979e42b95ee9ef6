package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/dustin/go-humanize/english"
	"github.com/redis/go-redis/v9"

	"authentik-graphql/upstream"
)

// check reaches what the settings name and prints a line for each. Its error says that one of them failed.
func (p *program) check(ctx context.Context) error {
	defer p.in.close()
	p.log = slog.New(slog.DiscardHandler) // the lines say what there is to say
	client := p.newClient(nil, nil)
	defer client.Close()
	failed := false
	row := func(what string, err error) {
		state := "ok"
		if err != nil {
			state, failed = "FAILED  "+err.Error(), true
		}
		_, _ = fmt.Fprintf(p.Stdout, "%-10s %s\n", what, state)
	}
	row("settings", nil)
	row("authentik", client.Ready(ctx))
	if p.in.redis == nil {
		_, _ = fmt.Fprintf(p.Stdout, "%-10s %s\n", "redis", "not used: REDIS_URL is not set")
	} else {
		row("redis", readRedis(ctx, p.in.redis, p.cfg.RedisPrefix))
	}
	if p.in.callers == nil {
		_, _ = fmt.Fprintf(p.Stdout, "%-10s %s\n", "callers", "not used: each sends a token of authentik")
	} else {
		row("token", tryToken(ctx, client, p.in.callers.Token()))
		names, tokens := p.in.callers.Count()
		_, _ = fmt.Fprintf(p.Stdout, "%-10s ok, %s, %s\n", "callers", english.Plural(names, "caller", ""), english.Plural(tokens, "token", ""))
	}
	if failed {
		return errors.New("the check failed")
	}
	return nil
}

// tryToken asks authentik with a token for the last id that there can be: authentik looks for the code only once it
// has accepted the token.
func tryToken(ctx context.Context, client *upstream.Client, token upstream.Credential) error {
	_, err := client.Retrieve(ctx, token, upstream.AuthorizationCodes, math.MaxInt32)
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		switch e.Kind {
		case upstream.NotFound:
			return nil
		case upstream.Unauthenticated:
			return errors.New("authentik rejects it")
		}
	}
	return err
}

// readRedis reads a key as the cache does. A PING succeeds even on any node of a cluster that is down, and for
// a user who may read nothing.
func readRedis(ctx context.Context, client redis.UniversalClient, prefix string) error {
	if err := client.Get(ctx, prefix+"check").Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

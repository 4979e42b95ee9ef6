package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/internal/callers"
	"authentik-graphql/upstream"
)

// runCheck reaches what the settings name and prints a small table; its error says what failed.
func runCheck(ctx context.Context, cfg Config, stdout io.Writer) error {
	client, err := newClient(cfg, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	failed := false
	row := func(what string, err error) {
		state := "ok"
		if err != nil {
			state, failed = "FAILED  "+err.Error(), true
		}
		_, _ = fmt.Fprintf(stdout, "%-10s %s\n", what, state)
	}
	row("settings", nil)
	row("authentik", client.Ready(ctx))
	if cfg.RedisURL == "" {
		_, _ = fmt.Fprintf(stdout, "%-10s %s\n", "redis", "not used: REDIS_URL is not set")
	} else {
		row("redis", askRedis(ctx, cfg))
	}
	own, err := callers.Open(cfg.TokenFile, cfg.CallersFile)
	switch {
	case err != nil:
		row("callers", err)
	case own == nil:
		_, _ = fmt.Fprintf(stdout, "%-10s %s\n", "callers", "not used: each sends a token of authentik")
	default:
		row("token", tryToken(ctx, client, own.Token()))
		names, tokens := own.Count()
		_, _ = fmt.Fprintf(stdout, "%-10s ok, %s, %s\n", "callers", counted(names, "caller"), counted(tokens, "token"))
	}
	if failed {
		return errors.New("the check failed")
	}
	return nil
}

// tryToken asks authentik with a token, for the last id that there can be: authentik looks for the
// code only once it accepts the token.
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

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// askRedis reads a name as the cache does. A PING would be answered by any node of a cluster that
// is down, and by a server on which the user may read nothing.
func askRedis(ctx context.Context, cfg Config) error {
	rc, err := newRedisClient(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	if err := rc.Get(ctx, cfg.RedisPrefix+"check").Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/internal/config"
	"authentik-graphql/upstream"
)

// runCheck reaches what the settings name and prints a small table; its error says what failed.
func runCheck(ctx context.Context, cfg config.Config, in inputs, stdout io.Writer) error {
	defer in.close()
	client := newClient(cfg, in, time.Now, slog.New(slog.DiscardHandler), nil, nil)
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
	if in.redis == nil {
		_, _ = fmt.Fprintf(stdout, "%-10s %s\n", "redis", "not used: REDIS_URL is not set")
	} else {
		row("redis", readRedis(ctx, in.redis, cfg.RedisPrefix))
	}
	if in.callers == nil {
		_, _ = fmt.Fprintf(stdout, "%-10s %s\n", "callers", "not used: each sends a token of authentik")
	} else {
		row("token", tryToken(ctx, client, in.callers.Token()))
		names, tokens := in.callers.Count()
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

// readRedis reads a key as the cache does. A PING succeeds even on any node of a cluster that is down, and for
// a user who may read nothing.
func readRedis(ctx context.Context, client redis.UniversalClient, prefix string) error {
	if err := client.Get(ctx, prefix+"check").Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

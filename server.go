// Command authentik-graphql serves authentik's OAuth2 grants as GraphQL: authorization codes, access tokens
// and refresh tokens.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/redis/go-redis/v9/logging"

	"authentik-graphql/internal/app"
)

//go:embed schema.graphqls
var schema string

func main() {
	if os.Getenv("ADMIN_PPROF") == "" {
		runtime.MemProfileRate = 0 // heap samples cost time, and no profile of them is served
	}
	logging.Disable() // go-redis prints addresses to stderr; the cache logs what matters
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := app.Run(ctx, app.Options{
		Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Schema: schema,
	})
	stop()
	os.Exit(app.ExitCode(err, os.Stderr))
}

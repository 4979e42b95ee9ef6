package main

import (
	"context"
	"io"
	"testing"

	"authentik-graphql/internal/app"
)

const (
	testSecret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	testURL    = "AUTHENTIK_URL=https://auth.example.com"
)

// run is the whole program.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	return app.Run(ctx, app.Options{Args: args, Environ: environ, Stdout: stdout, Stderr: stderr, Schema: schema})
}

func exitCode(err error, stderr io.Writer) int { return app.ExitCode(err, stderr) }

// openService makes a service that does not listen. It logs nothing, unless o has a Stderr.
func openService(t testing.TB, o app.Options) *app.Service {
	t.Helper()
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	o.Schema = schema
	s, err := app.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

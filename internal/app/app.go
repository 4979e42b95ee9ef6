package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"authentik-graphql/internal/buildinfo"
	"authentik-graphql/internal/config"
	"authentik-graphql/internal/demo"
	"authentik-graphql/internal/telemetry"
)

// Options are what the program is started with.
type Options struct {
	Args           []string // without the program's name
	Environ        []string
	Stdout, Stderr io.Writer
	// Schema is the text of schema.graphqls.
	Schema string
	// Now is the clock by which grants, caches and rates are judged; nil is time.Now.
	Now func() time.Time
	// NoResponseCache replays no response, for tests that compare.
	NoResponseCache bool
}

// Run does what the arguments ask for. By default it serves until ctx ends, and returns when everything is closed.
func Run(ctx context.Context, o Options) error {
	f, err := parseFlags(o.Args)
	if err != nil {
		return err
	}
	switch {
	case f.help:
		printHelp(o.Stdout, f.set)
		return nil
	case f.version:
		_, err := fmt.Fprintln(o.Stdout, buildinfo.Describe())
		return err
	case f.schema:
		_, err := io.WriteString(o.Stdout, o.Schema)
		return err
	case f.healthcheck:
		return healthcheck(ctx, o.Environ)
	case f.fakeAuthentik != "":
		return serveFakeAuthentik(ctx, f.fakeAuthentik, o.Stdout)
	}
	p, err := load(o, f.demo)
	if err != nil {
		return err
	}
	log, flush := telemetry.NewLogger(o.Stderr, telemetry.LogOptions{Level: p.cfg.LogLevel, Text: p.cfg.LogFormat == "text"})
	defer flush()
	p.log = log
	for _, hint := range append(config.Hints(o.Environ), p.in.traces.Warnings...) {
		if f.check {
			_, _ = fmt.Fprintln(o.Stdout, "settings  ", hint)
			continue
		}
		log.Warn("a variable of the environment has no effect", "hint", hint)
	}
	if f.demo {
		if p.demo, err = demo.Start(ctx); err != nil {
			return err
		}
		defer p.demo.Stop()
		p.cfg.AuthentikURL = config.BaseURL{URL: p.demo.AuthentikURL}
	}
	if f.check {
		return p.check(ctx)
	}
	return p.serve(ctx)
}

// program is what Run serves or checks.
type program struct {
	Options
	cfg  config.Config
	in   inputs
	log  *slog.Logger
	demo *demo.Demo // nil without -demo
}

// load reads the settings and opens what they name.
func load(o Options, demo bool) (*program, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &program{Options: o}
	var cfgErr, inErr error
	p.cfg, cfgErr = config.Load(o.Environ, demo)
	p.in, inErr = openInputs(p.cfg, o.Environ)
	if err := errors.Join(cfgErr, inErr); err != nil {
		p.in.close()
		return nil, usagef("the settings cannot be used:\n%w", err)
	}
	return p, nil
}

// usageError is a mistake in arguments or settings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// ExitCode prints the error of Run, if there is one, and returns the exit code of the process.
func ExitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "authentik-graphql:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

type flags struct {
	set                                             *flag.FlagSet
	check, demo, healthcheck, help, schema, version bool
	fakeAuthentik                                   string
}

func parseFlags(args []string) (f flags, err error) {
	f.set = flag.NewFlagSet("authentik-graphql", flag.ContinueOnError)
	f.set.SetOutput(io.Discard) // Run reports mistakes in one line and prints the help itself
	f.set.BoolVar(&f.demo, "demo", false, "run against a fake authentik inside, with the Playground and three tokens to try")
	f.set.BoolVar(&f.check, "check", false, "validate the settings, reach authentik and Redis, try the service's own token, look up authentik's release, print what was found")
	f.set.Func("fake-authentik", "run the demo's fake authentik alone, on `ADDR`, for several processes of the service to share", func(addr string) error {
		if f.fakeAuthentik = addr; !config.IsAddr(addr) {
			return errors.New("is not host:port")
		}
		return nil
	})
	f.set.BoolVar(&f.healthcheck, "healthcheck", false, "ask the service that listens on LISTEN_ADDR of this host for its /healthz; exit with 0 or 1")
	f.set.BoolVar(&f.schema, "schema", false, "print the schema")
	f.set.BoolVar(&f.version, "version", false, "print the version, the commit and the release of Go that it was built from")
	f.set.BoolVar(&f.help, "help", false, "print this text")
	switch err := f.set.Parse(args); {
	case errors.Is(err, flag.ErrHelp): // by -h
		f.help = true
	case err != nil:
		return f, usagef("%s; see -help", strings.Replace(err.Error(), "flag provided but not defined:", "unknown flag", 1))
	case f.set.NArg() > 0 && !f.help:
		return f, usagef("unknown argument %q; see -help", f.set.Arg(0))
	}
	return f, nil
}

func printHelp(w io.Writer, flags *flag.FlagSet) {
	_, _ = fmt.Fprintf(w, "authentik-graphql serves authentik's OAuth2 authorization codes and tokens as GraphQL.\n\nUsage: authentik-graphql [flag]\n\n")
	flags.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		_, _ = fmt.Fprintf(w, "  -%-20s %s\n", strings.TrimSpace(f.Name+" "+value), text)
	})
	_, _ = fmt.Fprintf(w, "\nSettings come from the environment. A secret may be given as NAME_FILE, the path of a file.\n")
	group := ""
	for _, s := range config.Settings() {
		if s.Group != group {
			group = s.Group
			_, _ = fmt.Fprintf(w, "\n%s:\n", group)
		}
		name, value := s.Name, s.Default
		if s.Secret {
			name += "[_FILE]"
		}
		if value == "" {
			value = "unset"
		}
		_, _ = fmt.Fprintf(w, "  %s (default: %s)\n      %s\n", name, value, s.Help)
	}
	_, _ = fmt.Fprintf(w, "\nOpenTelemetry's own variables turn traces on, such as OTEL_EXPORTER_OTLP_ENDPOINT; see docs/traces.md.\n")
}

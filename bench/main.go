// Command bench compares the CPU of the built service with that of a bare net/http handler that writes the
// same bytes. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	if role := roleOf(os.Args); role != nil {
		exit(role())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// The roles of the processes that the program starts from itself.
const (
	upstreamRole  = "upstream"
	bareRole      = "bare"
	fullStackRole = "full-stack"
	loadRole      = "load"
)

// roleOf returns the role that the first argument names, or nil.
func roleOf(args []string) func() error {
	if len(args) < 2 {
		return nil
	}
	return map[string]func() error{
		upstreamRole: runUpstream, bareRole: runBare, fullStackRole: runFullStack, loadRole: runLoad,
	}[args[1]]
}

var errMissed = errors.New("a goal is missed")

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := defaults()
	o.progress = stderr
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.Func("run", "measure only rows whose name matches the `regexp`", func(s string) (err error) {
		o.only, err = regexp.Compile(s)
		return err
	})
	flags.IntVar(&o.rounds, "rounds", o.rounds, "`number` of rounds of each workload")
	flags.DurationVar(&o.time, "time", o.time, "`time` of a round, for the service and for the baseline each")
	flags.StringVar(&o.binary, "binary", "", "measure this `file` instead of building the service")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of the service for each workload into this `folder`; not with -binary")
	flags.Func("baseline", "compare with this `handler`: "+bareRole+", or "+fullStackRole+", which also does what the libraries do (default "+bareRole+")", func(s string) error {
		if s != bareRole && s != fullStackRole {
			return fmt.Errorf("it is neither %s nor %s", bareRole, fullStackRole)
		}
		o.baseline = s
		return nil
	})
	strict := flags.Bool("strict", false, "fail if a goal is missed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unknown argument %q; see -h", flags.Arg(0))
	case o.rounds < 1:
		return errors.New("-rounds must be at least 1")
	case o.binary != "" && o.profile != "":
		return errors.New("-profile needs a service built with a profiler, so -binary cannot be set")
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o750); err != nil {
			return err
		}
	}
	t, err := measure(ctx, o)
	_, _ = fmt.Fprint(stdout, t) // even after an error: what was measured before
	if err != nil {
		return err
	}
	if *strict && !t.met() {
		return errMissed
	}
	return nil
}

const usage = `bench compares the CPU of the service with that of a bare net/http handler that writes the same bytes.
It prints tables in Markdown to stdout and its progress to stderr. It needs Linux, taskset and redis-server.

`

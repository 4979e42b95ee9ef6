package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// options say what is measured, and for how long.
type options struct {
	only        *regexp.Regexp // names of rows
	rounds      int
	time        time.Duration // of a round
	perConn     int           // ends a round as run.PerConn does
	warm        int           // requests of each connection before the first round
	conns       int
	ids         int
	documents   int
	memoryConns []int
	binary      string // the service's; "" is to be built
	profile     string // folder; "" is none
	beside      string // the role of what the service is compared with
	progress    io.Writer
}

func defaults() options {
	return options{
		only: regexp.MustCompile(""), rounds: 25, time: 400 * time.Millisecond, warm: 50, conns: 64,
		ids: 10_000, documents: 1000, memoryConns: []int{500, 3000}, beside: "bare", progress: os.Stderr,
	}
}

// bench is the benchmark with what all workloads share.
type bench struct {
	options
	cores    cores
	dir      string // of its own
	upstream string // address
}

// measure starts what all workloads need and measures them.
func measure(ctx context.Context, o options) (t tables, err error) {
	b := &bench{options: o}
	if b.cores, err = findCores(); err != nil {
		return t, err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return t, err
	}
	full, err := os.ReadFile(filepath.Join(root, "graph", "testdata", "every-field.graphql"))
	if err != nil {
		return t, err
	}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return t, err
	}
	defer func() { _ = os.RemoveAll(b.dir) }()
	if b.binary == "" {
		if b.binary, err = build(ctx, root, b.dir, b.profile != ""); err != nil {
			return t, err
		}
	}
	upstream, err := startRole(ctx, b.cores.rest, "upstream")
	if err != nil {
		return t, err
	}
	defer func() { _ = upstream.stop() }()
	if b.upstream, err = upstream.address(); err != nil {
		return t, err
	}
	all := workloads(string(full), o)
	for _, w := range all {
		if !b.only.MatchString(w.name) {
			continue
		}
		r, err := b.compare(ctx, w)
		if err != nil {
			return t, fmt.Errorf("%s: %w", w.name, err)
		}
		t.rows = append(t.rows, r)
	}
	for _, conns := range o.memoryConns {
		if !b.only.MatchString(memoryName) {
			break
		}
		f, err := b.memory(ctx, all[0], conns)
		if err != nil {
			return t, fmt.Errorf("%s: %w", memoryName, err)
		}
		t.memory = append(t.memory, f)
	}
	return t, nil
}

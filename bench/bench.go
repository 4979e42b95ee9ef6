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
	perConn     int           // see run.PerConn
	warm        int           // requests of each connection before the first round
	conns       int
	ids         int
	documents   int
	memoryConns []int
	binary      string // of the service; "" builds it
	profile     string // a folder; "" writes no profiles
	baseline    string // a role
	progress    io.Writer
}

func defaults() options {
	return options{
		only: regexp.MustCompile(""), rounds: 25, time: 400 * time.Millisecond, warm: 50, conns: 64,
		ids: 10_000, documents: 1000, memoryConns: []int{500, 3000}, baseline: bareRole, progress: os.Stderr,
	}
}

// bench is the benchmark with what all workloads share.
type bench struct {
	options
	cores       cores
	dir         string // temporary
	upstream    string // address of the fake authentik
	upstreamTLS string // its address for https
}

// caFile holds the certificate of the fake authentik.
func (b *bench) caFile() string { return filepath.Join(b.dir, "ca.pem") }

// authentik returns the URL of the fake authentik for a workload, and the file of its CA or "".
func (b *bench) authentik(w workload) (url, caFile string) {
	if w.https {
		return "https://" + b.upstreamTLS, b.caFile()
	}
	return "http://" + b.upstream, ""
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
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return t, err
	}
	defer func() { _ = os.RemoveAll(b.dir) }()
	if b.binary == "" {
		if b.binary, err = build(ctx, root, b.dir, b.profile != ""); err != nil {
			return t, err
		}
	}
	upstream, err := startRole(ctx, b.cores.rest, upstreamRole, b.caFile())
	if err != nil {
		return t, err
	}
	defer func() { _ = upstream.stop() }()
	for _, address := range []*string{&b.upstreamTLS, &b.upstream} {
		if *address, err = upstream.address(); err != nil {
			return t, err
		}
	}
	all := workloads(o)
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

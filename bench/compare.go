package main

import (
	"context"
	"errors"
	"fmt"
)

// result is a row of the table.
type result struct {
	workload
	service, bare []sample // a round each
	peak          int      // bytes
	calls         int      // of authentik, during the service's rounds
}

// compare measures the service and the bare handler in turn.
func (b *bench) compare(ctx context.Context, w workload) (r result, err error) {
	r.workload = w
	s, err := b.open(ctx, w)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	bare, err := b.aimBare(ctx, s.load, s.answer, s.contentType)
	if err != nil {
		return r, err
	}
	defer func() {
		bare.close()
		_ = bare.server.stop()
	}()
	if _, err := bare.run(run{Time: warmTime, PerConn: b.warm}); err != nil {
		return r, fmt.Errorf("bare handler: %w", err)
	}
	for range b.rounds {
		if err := b.round(ctx, &r, s, bare); err != nil {
			return r, err
		}
	}
	return r, r.checkCalls()
}

// round adds one sample of each to r.
func (b *bench) round(ctx context.Context, r *result, s *session, bare *target) error {
	length := run{Time: b.time, PerConn: b.perConn}
	if r.restart {
		length.Time = b.time * 5 / 2
		if err := s.restart(ctx); err != nil {
			return err
		}
	}
	before, err := b.calls(ctx)
	if err != nil {
		return err
	}
	service, err := s.run(length)
	if err != nil {
		return err
	}
	after, err := b.calls(ctx)
	if err != nil {
		return err
	}
	peak, err := s.service.peak()
	if err != nil {
		return err
	}
	other, err := bare.run(length)
	if err != nil {
		return fmt.Errorf("bare handler: %w", err)
	}
	r.service, r.bare = append(r.service, service), append(r.bare, other)
	r.calls += after - before
	r.peak = max(r.peak, peak)
	b.progressf("%s: service %.1f ms, bare %.1f ms, ratio %.2f\n", r.name, service.perThousand(), other.perThousand(), service.perThousand()/other.perThousand())
	return nil
}

func (b *bench) progressf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format, args...)
}

// checkCalls tells whether authentik was asked as often as the workload says.
func (r *result) checkCalls() error {
	want := 0
	if r.ids.N == 0 {
		for _, s := range r.service {
			want += s.Requests
		}
	}
	if r.calls != want {
		return fmt.Errorf("authentik was asked %d times, not %d", r.calls, want)
	}
	return nil
}

const (
	memoryName = "memory of open connections"
	steadyName = "late against early"
	// The peak that is allowed: CACHE_MEMORY and memoryBase, and memoryPerConn for each connection
	// over memoryConns.
	cacheMemory   = 64 << 20
	memoryBase    = 64 << 20
	memoryPerConn = 32 << 10
	memoryConns   = 500
)

// footprint is the most memory that was resident with so many connections open.
type footprint struct{ conns, peak int }

func (f footprint) budget() int {
	return cacheMemory + memoryBase + max(0, f.conns-memoryConns)*memoryPerConn
}

// memory opens connections that stay open and ask once each.
func (b *bench) memory(ctx context.Context, hot workload) (all []footprint, err error) {
	for _, conns := range b.memoryConns {
		many := *b
		many.conns, many.warm = conns, 1
		s, err := many.open(ctx, hot)
		if err != nil {
			return nil, err
		}
		peak, err := s.service.peak()
		if err := errors.Join(err, s.close()); err != nil {
			return nil, err
		}
		all = append(all, footprint{conns, peak})
		b.progressf("%s: %d, %d MiB\n", memoryName, conns, peak>>20)
	}
	return all, nil
}

// steady loads one process for ten rounds' time, and returns its fifths.
func (b *bench) steady(ctx context.Context, hot workload) (fifths []sample, err error) {
	s, err := b.open(ctx, hot)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for range 5 {
		fifth, err := s.run(run{Time: 2 * b.time, PerConn: b.perConn})
		if err != nil {
			return nil, err
		}
		fifths = append(fifths, fifth)
		b.progressf("%s: %.1f ms\n", steadyName, fifth.perThousand())
	}
	return fifths, nil
}

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
	var asks []string // of a dressed handler
	if w.ids.N == 0 && b.beside == "dressed" {
		asks = append(asks, b.upstream)
	}
	if w.redis {
		redis, url, err := startRedis(ctx, b.cores.rest, b.dir)
		if err != nil {
			return r, err
		}
		defer func() { _ = redis.stop() }()
		if asks != nil {
			asks = append(asks, url)
		}
		w.settings = append([]string{"REDIS_URL=" + url, "CACHE_SECRET=" + cacheSecret}, w.settings...)
	}
	r.workload = w
	s, err := b.open(ctx, w)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	bare, err := b.aimBare(ctx, s.load, s.answer, asks...)
	if err != nil {
		return r, err
	}
	defer func() {
		bare.close()
		_ = bare.server.stop()
	}()
	rounds, length := b.rounds, run{Time: b.time, PerConn: b.perConn}
	if w.restart {
		rounds, length.Time = max(1, rounds/5), b.time*25/2
	}
	for i := range rounds {
		if w.restart {
			if err := s.restart(ctx); err != nil {
				return r, err
			}
		}
		if err := b.round(ctx, &r, s, bare, length); err != nil {
			return r, err
		}
		_, _ = fmt.Fprintf(b.progress, "%s, round %d: service %.1f ms, bare handler %.1f ms, ratio %.2f\n",
			w.name, i+1, r.service[i].perThousand(), r.bare[i].perThousand(), r.ratio(i))
	}
	return r, r.checkCalls(b.conns)
}

// round adds one sample of each to r.
func (b *bench) round(ctx context.Context, r *result, s *session, bare *target, length run) error {
	before, err := b.calls(ctx)
	if err != nil {
		return err
	}
	service, err := s.target.run(length)
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
	return nil
}

// checkCalls tells whether authentik was asked as often as the workload says: once for each new id,
// never for what is cached; slack is for Redis being late on a busy machine.
func (r *result) checkCalls(slack int) error {
	want := 0
	if r.ids.N == 0 {
		for _, s := range r.service {
			want += s.Requests
		}
	}
	if r.calls < want-slack || r.calls > want+slack {
		return fmt.Errorf("authentik was asked %d times, not %d", r.calls, want)
	}
	return nil
}

// footprint is the most memory that was resident with so many connections open.
type footprint struct{ conns, peak int }

const (
	memoryName = "memory of open connections"
	// What may be resident: CACHE_MEMORY's default, memoryBase, and memoryPerConn for each
	// connection over memoryConns.
	cacheMemory   = 64 << 20
	memoryBase    = 64 << 20
	memoryPerConn = 32 << 10
	memoryConns   = 500
)

func (f footprint) budget() int {
	return cacheMemory + memoryBase + max(0, f.conns-memoryConns)*memoryPerConn
}

// memory opens connections that ask once and stay open.
func (b *bench) memory(ctx context.Context, hot workload, conns int) (f footprint, err error) {
	many := *b
	many.conns, many.warm = conns, 1
	s, err := many.open(ctx, hot)
	if err != nil {
		return f, err
	}
	peak, err := s.service.peak()
	_, _ = fmt.Fprintf(b.progress, "%s: %d, %d MiB\n", memoryName, conns, peak>>20)
	return footprint{conns, peak}, errors.Join(err, s.close())
}

package main

import (
	"context"
	"errors"
	"fmt"
)

// result is a row of the table.
type result struct {
	workload
	service, baseline []sample // a round each
	peak              int      // bytes
	calls             int      // of authentik, during the service's rounds
}

// compare measures the service and the baseline in turn.
func (b *bench) compare(ctx context.Context, w workload) (r result, err error) {
	var args []string // of the full-stack baseline
	if w.ids.N == 0 && b.baseline == fullStackRole {
		url, caFile := b.authentik(w)
		args = append(args, url, caFile)
	}
	if w.redis {
		redis, url, err := startRedis(ctx, b.cores.rest, b.dir)
		if err != nil {
			return r, err
		}
		defer func() { _ = redis.stop() }()
		if args != nil {
			args = append(args, url)
		}
		w.settings = append([]string{"REDIS_URL=" + url, "CACHE_SECRET=" + cacheSecret}, w.settings...)
	}
	r.workload = w
	s, err := b.open(ctx, w)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	baseline, err := b.aimBaseline(ctx, s.load, s.answer, args...)
	if err != nil {
		return r, err
	}
	defer func() {
		baseline.close()
		_ = baseline.server.stop()
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
		if err := b.round(ctx, &r, s, baseline, length); err != nil {
			return r, err
		}
		_, _ = fmt.Fprintf(b.progress, "%s, round %d: service %.1f ms, baseline %.1f ms, ratio %.2f\n",
			w.name, i+1, r.service[i].perThousand(), r.baseline[i].perThousand(), r.ratio(i))
	}
	return r, r.checkCalls(b.conns)
}

// round adds one sample of each to r.
func (b *bench) round(ctx context.Context, r *result, s *session, baseline *target, length run) error {
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
	other, err := baseline.run(length)
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	r.service, r.baseline = append(r.service, service), append(r.baseline, other)
	r.calls += after - before
	r.peak = max(r.peak, peak)
	return nil
}

// checkCalls returns an error unless authentik was called once for each new id and never for a cached one.
// slack is for calls that Redis did not save on a busy machine.
func (r *result) checkCalls(slack int) error {
	want := 0
	if r.ids.N == 0 {
		for _, s := range r.service {
			want += s.Requests
		}
	}
	if r.calls < want-slack || r.calls > want+slack {
		return fmt.Errorf("authentik was called %d times, not %d", r.calls, want)
	}
	return nil
}

// footprint is the peak resident set with so many connections open.
type footprint struct{ conns, peak int }

const (
	memoryName = "memory of open connections"
	// The budget is CACHE_MEMORY's default, memoryBase, and memoryPerConn for each connection over
	// memoryConns.
	cacheMemory   = 64 << 20
	memoryBase    = 64 << 20
	memoryPerConn = 32 << 10
	memoryConns   = 500
)

func (f footprint) budget() int {
	return cacheMemory + memoryBase + max(0, f.conns-memoryConns)*memoryPerConn
}

// memory opens connections that send one request and stay open.
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

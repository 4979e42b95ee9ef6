package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// target is a server under load.
type target struct {
	server *process
	load   *process
	to     *json.Encoder
	from   *json.Decoder
}

// sample is one run against a server.
type sample struct {
	outcome
	cpu time.Duration
}

// perThousand returns the CPU of a thousand requests in milliseconds.
func (s sample) perThousand() float64 { return float64(s.cpu.Microseconds()) / float64(s.Requests) }

// aim connects a generator to a server.
func (b *bench) aim(ctx context.Context, server *process, addr string, l load) (*target, error) {
	l.Addr = addr
	p, err := startRole(ctx, b.cores.rest, loadRole)
	if err != nil {
		return nil, err
	}
	t := &target{server: server, load: p, to: json.NewEncoder(p.in), from: json.NewDecoder(p.out)}
	return t, t.to.Encode(l)
}

// run puts the server under load. It returns an error for a wrong answer.
func (t *target) run(r run) (s sample, err error) {
	before, err := t.server.cpu()
	if err != nil {
		return s, err
	}
	if err := t.to.Encode(r); err != nil {
		return s, err
	}
	if err := t.from.Decode(&s.outcome); err != nil {
		return s, fmt.Errorf("the generator ended: %w", err)
	}
	t.server.requests += s.Requests
	after, err := t.server.cpu()
	s.cpu = after - before
	if err == nil && s.Error != "" {
		err = errors.New(s.Error)
	}
	return s, err
}

// close ends the generator.
func (t *target) close() { _ = t.load.stop() }

// aimBaseline starts the baseline, which writes a, connects a generator to it and warms it up.
func (b *bench) aimBaseline(ctx context.Context, l load, a answer, args ...string) (*target, error) {
	p, err := startRole(ctx, b.cores.server, append([]string{b.baseline}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(p.in).Encode(a); err != nil {
		return nil, err
	}
	addr, err := p.address()
	if err != nil {
		return nil, err
	}
	l.SameID = true
	t, err := b.aim(ctx, p, addr, l)
	if err != nil {
		return nil, err
	}
	_, err = t.run(run{Time: time.Minute, PerConn: b.warm})
	return t, err
}

// calls returns how often authentik was called.
func (b *bench) calls(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.upstream+callsPath, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// session is a running service, brought to where a workload's rounds begin.
type session struct {
	b       *bench
	w       workload
	redis   *process // nil is none
	service *service
	target  *target // nil before the first round of a workload with restart
	asked   int     // of this process

	load        load
	answer      []byte
	contentType string
}

// warmTime ends a warm-up, if its number of requests does not.
const warmTime = time.Minute

// open starts the service for a workload.
func (b *bench) open(ctx context.Context, w workload) (*session, error) {
	s := &session{b: b, w: w}
	if w.redis {
		redis, url, err := startRedis(ctx, b.cores.rest, b.dir)
		if err != nil {
			return nil, err
		}
		s.redis = redis
		s.w.settings = append([]string{"REDIS_URL=" + url, "CACHE_SECRET=" + cacheSecret}, w.settings...)
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.stopRedis())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// prepare checks one answer in full and fills the caches.
func (s *session) prepare(ctx context.Context) (err error) {
	s.asked += len(s.w.register) + 1
	if s.answer, s.contentType, err = s.w.ask(s.service.addr); err != nil {
		return err
	}
	s.load = s.w.load(s.b.conns, s.answer)
	if s.w.ids.N > 1 {
		if err := s.fill(ctx); err != nil {
			return err
		}
	}
	if s.w.restart {
		return nil
	}
	if err := s.aim(ctx); err != nil {
		return err
	}
	if _, err := s.run(run{Time: warmTime, PerConn: s.b.warm}); err != nil {
		return err
	}
	return s.startProfile()
}

// fill asks for each of the workload's ids once.
func (s *session) fill(ctx context.Context) error {
	measured := s.load
	s.load.IDs.Zipf = false
	if err := s.aim(ctx); err != nil {
		return err
	}
	_, err := s.run(run{Time: warmTime, PerConn: (s.w.ids.N + s.b.conns - 1) / s.b.conns})
	s.target.close()
	s.target, s.load = nil, measured
	return err
}

func (s *session) start(ctx context.Context) (err error) {
	settings := append([]string{"AUTHENTIK_URL=http://" + s.b.upstream, "CACHE_TTL=1h"}, s.w.settings...)
	if s.b.profile != "" {
		settings = append(settings, "BENCH_PROFILE="+s.profile())
	}
	s.asked = 0
	s.service, err = startService(ctx, s.b.cores.server, s.b.binary, settings...)
	return err
}

func (s *session) profile() string {
	name := regexp.MustCompile(`\W+`).ReplaceAllString(s.w.name, "-")
	return filepath.Join(s.b.profile, name+".pprof")
}

// aim connects a generator to the service.
func (s *session) aim(ctx context.Context) (err error) {
	l := s.load
	l.Addr = s.service.addr
	s.target, err = s.b.aim(ctx, s.service.process, l)
	return err
}

func (s *session) run(r run) (sample, error) {
	done, err := s.target.run(r)
	s.asked += done.Requests
	return done, err
}

// restart goes on with a new process.
func (s *session) restart(ctx context.Context) error {
	if err := s.stop(); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.startProfile(); err != nil {
		return err
	}
	return s.aim(ctx)
}

// close ends what open started.
func (s *session) close() error { return errors.Join(s.stop(), s.stopRedis()) }

func (s *session) stopRedis() error {
	if s.redis == nil {
		return nil
	}
	return s.redis.stop()
}

// stop ends the service and checks its log.
func (s *session) stop() (err error) {
	if s.target != nil {
		s.target.close()
		err = s.endProfile()
	}
	err = errors.Join(err, s.service.stop())
	lines := s.asked + len([]string{"listening", "draining", "stopped"})
	if s.w.quiet {
		lines = 0
	}
	if err == nil && s.service.lines != lines {
		err = fmt.Errorf("the service logged %d lines for %d requests", s.service.lines, s.asked)
	}
	return err
}

// startProfile and endProfile frame what is in the CPU profile; see testdata/profile.go.
func (s *session) startProfile() error {
	if s.b.profile == "" {
		return nil
	}
	return s.service.Process.Signal(syscall.SIGUSR1)
}

func (s *session) endProfile() error {
	if err := s.startProfile(); err != nil || s.b.profile == "" {
		return err
	}
	return eventually("the profile", func() bool { _, err := os.Stat(s.profile()); return err == nil })
}

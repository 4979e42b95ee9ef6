package main

import (
	"context"
	"errors"
	"time"
)

// session is the service with a load generator, ready for a workload's rounds.
type session struct {
	b       *bench
	w       workload
	service *service // nil once stopped
	target  *target
	load    load
	answer  answer
}

// open starts the service for a workload.
func (b *bench) open(ctx context.Context, w workload) (*session, error) {
	s := &session{b: b, w: w}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// prepare checks one answer in full, connects the generator and warms the caches.
func (s *session) prepare(ctx context.Context) (err error) {
	if s.service, err = s.b.startService(ctx, s.w); err != nil {
		return err
	}
	if s.answer, err = s.w.probe(s.service.process, s.service.addr); err != nil {
		return err
	}
	s.load = s.w.load(s.b.conns, s.answer.Body)
	if s.target, err = s.b.aim(ctx, s.service.process, s.service.addr, s.load); err != nil {
		return err
	}
	warm := run{Time: time.Minute, PerConn: s.b.warm}
	if s.w.ids.N > 1 {
		warm.PerConn, warm.InTurn = (s.w.ids.N+s.b.conns-1)/s.b.conns, true
	}
	if _, err := s.target.run(warm); err != nil {
		return err
	}
	return s.service.startProfile()
}

// restart continues with a new process, whose memory is empty.
func (s *session) restart(ctx context.Context) (err error) {
	if err := s.close(); err != nil {
		return err
	}
	if s.service, err = s.b.startService(ctx, s.w); err != nil {
		return err
	}
	if err := s.service.startProfile(); err != nil {
		return err
	}
	s.target, err = s.b.aim(ctx, s.service.process, s.service.addr, s.load)
	return err
}

func (s *session) close() error {
	if s.target != nil {
		s.target.close()
		s.target = nil
	}
	if s.service == nil {
		return nil
	}
	service := s.service
	s.service = nil
	return service.stop()
}

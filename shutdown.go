package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// answerSlack is how much longer than an operation its request may take: the body is read and the
	// answer written.
	answerSlack = 10 * time.Second
	// quietTime is how long connections that carry nothing are kept once no new ones are taken: who
	// sends something meanwhile is answered, and told that the connection ends. To close one at once
	// would lose a request that is on its way.
	quietTime = time.Second
	quietStep = 10 * time.Millisecond
)

// longest is how long a request can take.
func (s *service) longest() time.Duration { return bounded(s.cfg.OperationTimeout) + answerSlack }

// drain lets go of the clients and waits for what runs. First /readyz says that the process ends, and for
// SHUTDOWN_DELAY nothing else changes, until those who send clients here have noticed. Then the listener
// closes; after that, so that nobody comes back to it, connections that are still used end with their next
// answer, and the rest are closed.
func (s *service) drain(srv *http.Server, ln net.Listener) error {
	s.draining.Store(true)
	s.log.Info("draining", "delay", s.cfg.ShutdownDelay.String())
	time.Sleep(bounded(s.cfg.ShutdownDelay))
	err := s.stop(srv, ln)
	s.log.Info("stopped")
	return err
}

// stop closes the listener and ends what runs, once that has ended by itself or taken as long as it may.
func (s *service) stop(srv *http.Server, ln net.Listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.longest())
	defer cancel()
	err := closed(ln.Close())
	s.conns.ending.Store(true)
	for quiet := time.Now().Add(quietTime); s.conns.open.Load() > 0 && time.Now().Before(quiet); {
		time.Sleep(quietStep)
	}
	if e := srv.Shutdown(ctx); closed(e) != nil {
		err = errors.Join(err, fmt.Errorf("requests were still running after %s: %w", s.longest(), e), srv.Close())
	}
	return errors.Join(err, s.close(ctx))
}

// closed is nil if an error says only that a listener was closed before.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// close ends what the service runs besides requests: loads that nobody waits for any more, whose
// leases are given back, and the connections to Redis and authentik.
func (s *service) close(ctx context.Context) error {
	err := errors.Join(s.callers.Close(ctx), s.cache.Close(ctx))
	s.responses.Close()
	s.client.Close()
	s.traces.Close()
	return err
}

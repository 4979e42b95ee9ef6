package app

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/dustin/go-humanize"

	"authentik-graphql/internal/buildinfo"
	"authentik-graphql/internal/config"
)

// gcPercent is how much garbage there may be beside what is alive, which is little while the cache is almost empty:
// with Go's 100 the collector would then run after every few MiB. The memory limit holds whatever this is.
const gcPercent = 400

// serve answers requests until ctx ends, and closes everything.
func (p *program) serve(ctx context.Context) error {
	s, err := newService(p)
	if err != nil {
		p.in.close()
		return err
	}
	if config.Lookup(p.Environ, "GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	if err := s.server.Listen(ctx); err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	if p.demo != nil {
		p.announceDemo(s.server.Addr())
	}
	p.log.Info("listening", "address", s.server.Addr(), "admin_address", s.server.AdminAddr(), "version", buildinfo.Version(),
		"memory_limit", humanize.IBytes(uint64(debug.SetMemoryLimit(-1))), "settings", p.cfg) //nolint:gosec // never negative
	return s.server.Serve(ctx)
}

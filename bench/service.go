package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// moduleRoot returns the folder of the module.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// build compiles the service as make build does, with testdata/profile.go added to profile it.
func build(ctx context.Context, root, dir string, profiled bool) (binary string, err error) {
	binary = filepath.Join(dir, "authentik-graphql")
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", binary}
	if profiled {
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
			filepath.Join(root, "profile_overlay.go"): filepath.Join(root, "bench", "testdata", "profile.go"),
		}})
		if err != nil {
			return "", err
		}
		replacements := filepath.Join(dir, "overlay.json")
		if err := os.WriteFile(replacements, overlay, 0o600); err != nil {
			return "", err
		}
		args = append(args, "-overlay", replacements)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...) //nolint:gosec // our own module
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the service: %w\n%s", err, out)
	}
	return binary, nil
}

// service is a running process of the binary.
type service struct {
	*process
	addr      string
	quiet     bool   // it logs only warnings
	profile   string // a file, or ""
	profiling bool
	progress  io.Writer
	drained   chan struct{}
	// Valid once drained is closed.
	lines   int
	excerpt string // the last warning, or the first lines of the log
}

// startService starts the binary and waits until it listens. Its address is chosen here, because with
// LOG_LEVEL=warn it does not log one.
func (b *bench) startService(ctx context.Context, w workload) (*service, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	log, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &service{addr: addr, quiet: slices.Contains(w.settings, "LOG_LEVEL=warn"), progress: b.progress, drained: make(chan struct{})}
	url, caFile := b.authentik(w)
	settings := append([]string{"LISTEN_ADDR=" + addr, "ADMIN_ADDR=off", "AUTHENTIK_URL=" + url, "AUTHENTIK_CA_FILE=" + caFile, "CACHE_TTL=1h"}, w.settings...)
	if b.profile != "" {
		s.profile = filepath.Join(b.profile, regexp.MustCompile(`\W+`).ReplaceAllString(w.name, "-")+".pprof")
		settings = append(settings, "BENCH_PROFILE="+s.profile)
	}
	s.process, err = start(ctx, b.cores.server, stderr, settings, b.binary)
	_ = stderr.Close()
	if err != nil {
		return nil, err
	}
	go s.drain(log)
	if err := eventually("the service", func() bool { return s.ended() || listens("tcp", addr) }); err != nil || s.ended() {
		return nil, errors.Join(errors.New("the service does not start"), err, s.stop())
	}
	return s, nil
}

func (s *service) ended() bool {
	select {
	case <-s.drained:
		return true
	default:
		return false
	}
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

func listens(network, addr string) bool {
	conn, err := net.Dial(network, addr)
	return err == nil && conn.Close() == nil
}

// drain reads the log until it ends, with pauses as a log collector makes them: the service should not
// pay for waking a reader with each line.
func (s *service) drain(log io.ReadCloser) {
	defer close(s.drained)
	defer func() { _ = log.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := log.Read(buffer)
		s.lines += bytes.Count(buffer[:n], []byte("\n"))
		if at := max(0, bytes.Index(buffer[:n], []byte(`"level":"WARN"`))); at > 0 || s.excerpt == "" {
			s.excerpt = string(buffer[at:min(n, at+300)])
		}
		if err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// stop ends the service and checks that its log has a line for each request.
func (s *service) stop() error {
	var err error
	if s.profiling {
		err = s.endProfile()
	}
	err = errors.Join(err, s.process.stop())
	<-s.drained
	lines := s.requests + len([]string{"listening", "draining", "stopped"})
	if s.quiet {
		lines = 0
	}
	if s.lines < lines {
		err = errors.Join(err, fmt.Errorf("the service logged %d lines instead of %d: %s", s.lines, lines, s.excerpt))
	} else if s.lines > lines { // on a busy machine Redis may be late
		_, _ = fmt.Fprintf(s.progress, "the service logged %d more lines than requests: %s\n", s.lines-lines, s.excerpt)
	}
	return err
}

// startProfile starts the CPU profile, if one is wanted; see testdata/profile.go.
func (s *service) startProfile() error {
	if s.profile == "" {
		return nil
	}
	s.profiling = true
	return s.Process.Signal(syscall.SIGUSR1)
}

func (s *service) endProfile() error {
	_ = os.Remove(s.profile) // of the previous round
	if err := s.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	return eventually("the profile", func() bool { _, err := os.Stat(s.profile); return err == nil })
}

const cacheSecret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// startRedis starts a redis-server without persistence and returns its URL.
func startRedis(ctx context.Context, core, dir string) (*process, string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "", err
	}
	socket := filepath.Join(dir, "redis.sock")
	p, err := start(ctx, core, nil, nil, path, "--port", "0", "--unixsocket", socket, "--dir", dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning")
	if err != nil {
		return nil, "", err
	}
	if err := eventually("redis-server", func() bool { return listens("unix", socket) }); err != nil {
		return nil, "", errors.Join(err, p.stop())
	}
	return p, "unix://" + socket, nil
}

func eventually(what string, there func() bool) error {
	for range 1000 {
		if there() {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s did not come up within 10 s", what)
}

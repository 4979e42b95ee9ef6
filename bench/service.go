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
	"strings"
	"time"
)

// moduleRoot is the folder of the module's go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// build compiles the service as make build does, with testdata/profile.go laid over it if it is to
// be profiled.
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

// service is a running process of the binary, and what it logged.
type service struct {
	*process
	addr    string
	drained chan struct{}
	// To be read after drained.
	lines   int
	problem string // the first line above INFO, or why it did not start
}

// startService starts the binary and waits until it listens. It does not always log where: with
// LOG_LEVEL=warn it logs nothing.
func startService(ctx context.Context, core, binary string, settings ...string) (*service, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	log, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, core, stderr, append([]string{"LISTEN_ADDR=" + addr}, settings...), binary)
	_ = stderr.Close()
	if err != nil {
		return nil, err
	}
	s := &service{process: p, addr: addr, drained: make(chan struct{})}
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

var warning = regexp.MustCompile(`"level":"(WARN|ERROR)".*|(?m:^authentik-graphql: .*)`)

// drain reads the log until it ends, with pauses as a collector of logs makes them: the service
// should not pay for waking somebody up with each line.
func (s *service) drain(log io.Reader) {
	defer close(s.drained)
	buffer := make([]byte, 64<<10)
	for {
		n, err := log.Read(buffer)
		s.lines += bytes.Count(buffer[:n], []byte("\n"))
		if at := warning.FindIndex(buffer[:n]); at != nil && s.problem == "" {
			s.problem = string(buffer[at[0]:at[1]])
		}
		if err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// stop ends the service. That it warned of something is an error.
func (s *service) stop() error {
	err := s.process.stop()
	<-s.drained
	if s.problem != "" {
		err = errors.Join(err, fmt.Errorf("the service warns: %s", s.problem))
	}
	return err
}

// cacheSecret is CACHE_SECRET.
const cacheSecret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// startRedis starts a redis-server that keeps nothing on disk, and returns its URL.
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
	err = eventually("redis-server", func() bool { return listens("unix", socket) })
	return p, "unix://" + socket, err
}

func eventually(what string, there func() bool) error {
	for range 1000 {
		if there() {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("waited in vain for %s", what)
}

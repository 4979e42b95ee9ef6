package cachetest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a server may take to answer on a busy machine.
const startTimeout = 20 * time.Second

// RedisServer is a real redis-server that keeps nothing on disk. Its methods are for one goroutine.
type RedisServer struct {
	t        testing.TB
	path     string
	dir      string
	args     []string
	addr     string
	password string
	running  *process // nil when it is killed
}

type process struct {
	*os.Process
	ended  chan struct{}
	output *bytes.Buffer // to be read after ended
}

// StartRedis starts a server on a loopback port of the system's choice, waits until it answers, and
// ends it with the test. args are added to its command line, such as "--requirepass", "secret".
// Without redis-server on the PATH the test is skipped, or fails if CI=true.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed; skipping")
	}
	s := &RedisServer{t: t, path: path, dir: t.TempDir(), args: args}
	if i := slices.Index(args, "--requirepass"); i >= 0 {
		s.password = args[i+1]
	}
	t.Cleanup(s.Kill)
	for range 10 { // the port may be taken between our look and the server's
		s.addr = freeAddr(t)
		if s.start() {
			return s
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

// Addr is the server's host and port.
func (s *RedisServer) Addr() string { return s.addr }

// URL is the server's address as a client takes it, with its password.
func (s *RedisServer) URL() string {
	u := url.URL{Scheme: "redis", Host: s.addr, Path: "/0"}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

// Kill ends the server at once, as a crash would. Connections to it are refused then.
func (s *RedisServer) Kill() {
	if s.running == nil {
		return
	}
	_ = s.running.Process.Kill()
	<-s.running.ended
	s.running = nil
}

// Restart starts the server again at its address, empty.
func (s *RedisServer) Restart() {
	s.t.Helper()
	s.Kill()
	Eventually(s.t, "redis-server starts again", s.start)
}

// Stop halts the server: connections are still accepted, and nothing answers.
func (s *RedisServer) Stop() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	Eventually(s.t, "redis-server halts", func() bool { return s.pid() == 0 })
}

// Cont lets a halted server go on.
func (s *RedisServer) Cont() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
	Eventually(s.t, "redis-server goes on", func() bool { return s.pid() != 0 })
}

func (s *RedisServer) signal(sig os.Signal) {
	s.t.Helper()
	if s.running == nil {
		s.t.Fatal("redis-server is not running")
	}
	if err := s.running.Signal(sig); err != nil {
		s.t.Fatalf("signal redis-server: %v", err)
	}
}

// start tells whether a server answers at the address; it has ended if not.
func (s *RedisServer) start() bool {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	args := []string{"--bind", host, "--port", port, "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"}
	p := &process{ended: make(chan struct{}), output: &bytes.Buffer{}}
	cmd := exec.Command(s.path, append(args, s.args...)...) //nolint:gosec // redis-server from the PATH
	cmd.Stdout, cmd.Stderr = p.output, p.output
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
	p.Process = cmd.Process
	go func() { _ = cmd.Wait(); close(p.ended) }()
	s.running = p

	timeout := time.After(startTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.pid() != p.Pid { // another server may sit at the address
		select {
		case <-p.ended:
			s.running = nil
			s.t.Logf("redis-server ended:\n%s", p.output)
			return false
		case <-timeout:
			s.Kill()
			s.t.Fatalf("redis-server does not answer:\n%s", p.output)
		case <-tick.C:
		}
	}
	return true
}

// pid asks the server at the address for its process id; 0 means no answer.
func (s *RedisServer) pid() int {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	request := "INFO server\r\nQUIT\r\n"
	if s.password != "" {
		request = fmt.Sprintf("AUTH %s\r\n%s", s.password, request)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return 0
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if pid, ok := strings.CutPrefix(lines.Text(), "process_id:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(pid))
			return n
		}
	}
	return 0
}

func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// Eventually asks until ok answers true, and fails the test if that takes too long. what names the
// event that is waited for.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(startTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

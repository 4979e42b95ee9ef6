package cachetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
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

	"authentik-graphql/internal/servicetest"
)

// startTimeout is how long a server may take to start on a busy machine.
const startTimeout = 20 * time.Second

// RedisServer is a redis-server that writes only to the test's own folder. Its methods are not safe for
// concurrent use.
type RedisServer struct {
	t         testing.TB
	path      string
	dir       string
	config    string // a file that the server reads and a sentinel writes; empty for none
	args      []string
	socket    bool         // addr is a Unix socket
	tls       *certificate // nil without TLS
	bus       bool         // a node of a cluster has a second port
	addr      string
	busPort   string
	user      string
	password  string
	running   *process // nil after Kill
	suspended bool
}

type process struct {
	*os.Process
	ended  chan struct{}
	output *bytes.Buffer // may be read after ended is closed
}

// StartRedis starts a server on a free loopback port, waits until it replies, and stops it at the end of the
// test. args are added to its command line, such as "--requirepass", "secret" or "--user", "app", "on",
// ">secret", "~*", "&*", "+@all"; its URL then contains the user and the password. Without redis-server on
// the PATH the test is skipped, or fails if CI=true.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	s := newServer(t, args...)
	s.launch()
	return s
}

func newServer(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	s := &RedisServer{t: t, path: servicetest.Program(t, "redis-server"), dir: t.TempDir(), args: slices.Clone(args)}
	if i := slices.Index(args, "--requirepass"); i >= 0 {
		s.password = args[i+1]
	}
	if i := slices.Index(args, "--user"); i >= 0 {
		s.user, s.password = args[i+1], strings.TrimPrefix(args[i+3], ">")
		s.args = append(s.args, "--masteruser", s.user)
	}
	if s.password != "" { // the primary of a replica has the same users
		s.args = append(s.args, "--masterauth", s.password)
	}
	t.Cleanup(s.Kill)
	return s
}

func (s *RedisServer) launch() {
	s.t.Helper()
	for range 10 { // another process may take the port first
		if !s.socket {
			s.addr = freeAddr(s.t)
		}
		if s.bus {
			_, s.busPort, _ = net.SplitHostPort(freeAddr(s.t))
		}
		if s.start() {
			return
		}
	}
	s.t.Fatal("redis-server does not start")
}

// Addr returns the server's host and port, or the path of its socket.
func (s *RedisServer) Addr() string { return s.addr }

// URL returns the server's address for a client, with user and password.
func (s *RedisServer) URL() string {
	u := url.URL{Scheme: "redis", Host: s.addr, Path: "/0"}
	switch {
	case s.socket:
		u = url.URL{Scheme: "unix", Path: s.addr}
	case s.tls != nil:
		u.Scheme = "rediss"
	}
	if s.password != "" {
		u.User = url.UserPassword(s.user, s.password)
	}
	return u.String()
}

// Kill ends the server like a crash. Connections to it are refused afterwards.
func (s *RedisServer) Kill() {
	if s.running == nil {
		return
	}
	_ = s.running.Process.Kill()
	<-s.running.ended
	s.running, s.suspended = nil, false
}

// Restart starts the server again at its address, empty.
func (s *RedisServer) Restart() {
	s.t.Helper()
	s.Kill()
	Eventually(s.t, "redis-server starts again", s.start)
}

// Stop suspends the server: it accepts connections but does not reply.
func (s *RedisServer) Stop() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	s.suspended = true
	Eventually(s.t, "redis-server is suspended", func() bool { return s.pid() == 0 })
}

// Cont resumes a suspended server.
func (s *RedisServer) Cont() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
	s.suspended = false
	Eventually(s.t, "redis-server resumes", func() bool { return s.pid() != 0 })
}

// alive reports whether the server is neither killed nor suspended.
func (s *RedisServer) alive() bool { return s.running != nil && !s.suspended }

func (s *RedisServer) signal(sig os.Signal) {
	s.t.Helper()
	if s.running == nil {
		s.t.Fatal("redis-server is not running")
	}
	if err := s.running.Signal(sig); err != nil {
		s.t.Fatalf("signal redis-server: %v", err)
	}
}

// start reports whether the server replies at its address. Otherwise it has ended.
func (s *RedisServer) start() bool {
	s.t.Helper()
	args := append(s.listenArgs(), "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning")
	if s.config != "" {
		args = slices.Insert(args, 0, s.config)
	}
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
	for s.pid() != p.Pid { // another server may have the address
		select {
		case <-p.ended:
			s.running = nil
			s.t.Logf("redis-server ended:\n%s", p.output)
			return false
		case <-timeout:
			s.Kill()
			s.t.Fatalf("redis-server does not reply:\n%s", p.output)
		case <-tick.C:
		}
	}
	return true
}

func (s *RedisServer) listenArgs() []string {
	if s.socket {
		return []string{"--port", "0", "--unixsocket", s.addr}
	}
	host, port, _ := net.SplitHostPort(s.addr)
	args := []string{"--bind", host}
	if s.bus {
		args = append(args, "--cluster-port", s.busPort)
	}
	if s.tls != nil {
		return append(args, append(s.tls.args(), "--port", "0", "--tls-port", port)...)
	}
	return append(args, "--port", port)
}

func (s *RedisServer) network() string {
	if s.socket {
		return "unix"
	}
	return "tcp"
}

func (s *RedisServer) dial(ctx context.Context) (net.Conn, error) {
	if s.tls != nil {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: s.tls.roots, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", s.addr)
	}
	return (&net.Dialer{}).DialContext(ctx, s.network(), s.addr)
}

// pid asks the server at the address for its process id; 0 means no reply.
func (s *RedisServer) pid() int {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	request := "INFO server\r\nQUIT\r\n"
	if s.password != "" {
		request = strings.Join(strings.Fields("AUTH "+s.user+" "+s.password), " ") + "\r\n" + request
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

// Eventually waits until ok returns true, and fails the test if that takes too long. what describes the
// event.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(startTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-timeout:
			t.Fatalf("timed out: %s", what)
		case <-tick.C:
		}
	}
}

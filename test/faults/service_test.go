//go:build linux

package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/servicetest"
)

// build compiles the service with testdata/goroutines.go laid over it.
func build(t *testing.T) (binary string) {
	t.Helper()
	root := servicetest.Root(t)
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(root, "goroutines_overlay.go"): filepath.Join(root, "test", "faults", "testdata", "goroutines.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	replacements := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(replacements, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return servicetest.Build(t, "-overlay", replacements)
}

// service is a process of the binary that can be killed and started again. Its methods are for the
// test's goroutine.
type service struct {
	t        *testing.T
	binary   string
	settings []string
	addr     string // known once it listens
	logPath  string
	cmd      *exec.Cmd
	ended    chan error    // receives the result of Wait
	profiles *os.File      // the read end of the pipe to which the process writes profiles
	profile  *bufio.Reader // reads profiles
}

// startService starts the binary with nothing but settings in its environment and waits until it is
// ready. The end of the test kills it if it is still running.
func startService(t *testing.T, binary string, settings ...string) *service {
	t.Helper()
	s := &service{t: t, binary: binary, settings: settings, logPath: filepath.Join(t.TempDir(), "log")}
	t.Cleanup(s.kill)
	s.start()
	return s
}

// start starts a process, at the address of the previous one if there was one.
func (s *service) start() {
	s.t.Helper()
	log, err := os.OpenFile(s.logPath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	profiles, pipe, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = pipe.Close() }()
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	cmd := exec.Command(s.binary)
	cmd.Env = append([]string{"LISTEN_ADDR=" + addr, "ADMIN_ADDR=off"}, s.settings...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{pipe}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start the service: %v", err)
	}
	s.cmd, s.profiles, s.profile = cmd, profiles, bufio.NewReader(profiles)
	ended := make(chan error, 1)
	s.ended = ended
	go func() { ended <- cmd.Wait() }() // kill and stop wait for it
	cachetest.Eventually(s.t, "the service is ready", s.ready)
}

// ready reports whether the process is ready. It fails the test if the process has ended.
func (s *service) ready() bool {
	s.t.Helper()
	select {
	case err := <-s.ended:
		s.ended <- err
		s.t.Fatalf("the service ended: %v\n%s", err, s.tail())
	default:
	}
	if s.addr == "" {
		for _, line := range s.lines() {
			if line.Msg == "listening" {
				s.addr = line.Address
			}
		}
		return false
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.addr + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill kills the process, if there is one.
func (s *service) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	s.reap()
}

// reap waits for the process's end and returns the result of Wait.
func (s *service) reap() error {
	err := <-s.ended
	_ = s.profiles.Close()
	s.cmd = nil
	return err
}

// stop ends the process as an operator would. A clean end is no error.
func (s *service) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		return s.reap()
	case <-time.After(20 * time.Second):
		s.kill()
		return fmt.Errorf("it does not stop on SIGTERM")
	}
}

// goroutines returns the number of goroutines and their profile. The process returns its free memory to
// the system first.
func (s *service) goroutines() (n int, profile string) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		s.t.Fatalf("ask for goroutines: %v\n%s", err, s.tail())
	}
	_ = s.profiles.SetReadDeadline(time.Now().Add(20 * time.Second))
	profile, err := s.profile.ReadString(0)
	if err != nil {
		s.t.Fatalf("read the goroutines: %v\n%s", err, s.tail())
	}
	if _, err := fmt.Sscanf(profile, "goroutine profile: total %d", &n); err != nil {
		s.t.Fatalf("read the goroutines: %v\n%s", err, profile)
	}
	return n, strings.TrimSuffix(profile, "\x00")
}

// memory returns the current and the peak resident set in MiB.
func (s *service) memory() (now, peak int) {
	s.t.Helper()
	now, peak = servicetest.Memory(s.t, s.cmd.Process.Pid)
	return now >> 20, peak >> 20
}

// log returns the output of the process and of those before it.
func (s *service) log() string {
	s.t.Helper()
	b, err := os.ReadFile(s.logPath)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// tail returns the end of the log.
func (s *service) tail() string {
	s.t.Helper()
	log := s.log()
	return log[max(0, len(log)-4<<10):]
}

// logLine is a line of the log.
type logLine struct {
	Level, Msg, Address string
	text                string
	plain               bool // not JSON: a crash, or a library that prints
}

// takeLines returns the lines since the last call and empties the log. Lines that are written meanwhile
// are lost, so there must be no traffic.
func (s *service) takeLines() []logLine {
	s.t.Helper()
	lines := s.lines()
	if err := os.Truncate(s.logPath, 0); err != nil {
		s.t.Fatal(err)
	}
	return lines
}

func (s *service) lines() (lines []logLine) {
	for text := range strings.Lines(s.log()) {
		line := logLine{text: strings.TrimSpace(text)}
		line.plain = json.Unmarshal([]byte(text), &line) != nil
		lines = append(lines, line)
	}
	return lines
}

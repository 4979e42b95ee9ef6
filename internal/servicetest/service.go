package servicetest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wait bounds how long the service may take to listen and to stop.
const wait = 20 * time.Second

// Output is what a running service has written, and its addresses.
type Output struct {
	Addr, URL, Admin string // Addr is host:port; Admin is the URL of the admin listener
	Stdout, Log      *Buffer
}

// NewOutput returns the output of a service that has not started.
func NewOutput() Output { return Output{Stdout: NewBuffer(), Log: NewBuffer()} }

// Await waits until the service listens. It fails the test if the service ends before, which puts its result
// into ended.
func (o *Output) Await(t testing.TB, ended chan error) {
	t.Helper()
	select {
	case <-o.Log.Contains(`"msg":"listening"`):
	case err := <-ended:
		ended <- err
		t.Fatalf("the service ended: %v\n%s", err, o.Log)
	case <-time.After(wait):
		t.Fatalf("the service does not listen\n%s", o.Log)
	}
	for _, line := range o.Log.Lines() {
		if line["msg"] == "listening" {
			o.Addr = line["address"].(string)
			o.URL, o.Admin = "http://"+o.Addr, "http://"+line["admin_address"].(string)
		}
	}
}

// Service is a running process of the binary.
type Service struct {
	Output
	t       testing.TB
	cmd     *exec.Cmd
	ended   chan error
	checked bool // a test has the result of the process
}

// Start starts the binary with nothing but settings in its environment and waits until it listens on a port
// that the system chose. The end of the test stops it, and fails if it does not stop cleanly.
func Start(t testing.TB, binary string, args []string, settings ...string) *Service {
	t.Helper()
	s := &Service{Output: NewOutput(), t: t, cmd: exec.Command(binary, args...), ended: make(chan error, 1)}
	s.cmd.Env = append([]string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=off", "LOG_FORMAT=json"}, settings...)
	s.cmd.Stdout, s.cmd.Stderr = s.Stdout, s.Log
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start the service: %v", err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(s.stop)
	s.Await(t, s.ended)
	return s
}

// stop ends the process as an operator would, unless it has ended.
func (s *Service) stop() {
	s.t.Helper()
	http.DefaultClient.CloseIdleConnections() // or the service waits for them
	checked := s.checked
	if err := s.End(syscall.SIGTERM); err != nil && !checked {
		s.t.Errorf("the service ended with: %v\n%s", err, s.Log)
	}
}

// End sends the process signals, unless it has ended, and returns its result.
func (s *Service) End(signals ...syscall.Signal) error {
	s.checked = true
	for _, signal := range signals {
		_ = s.cmd.Process.Signal(signal)
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		return err
	case <-time.After(wait):
		_ = s.cmd.Process.Kill()
		return fmt.Errorf("it does not stop on %v: %w", signals, <-s.ended)
	}
}

// PID returns the process's id.
func (s *Service) PID() int { return s.cmd.Process.Pid }

// Memory returns the process's current and peak resident set in bytes.
func (s *Service) Memory() (now, peak int) {
	s.t.Helper()
	return Memory(s.t, s.PID())
}

// Memory returns the current and peak resident set of a process in bytes. It needs Linux.
func Memory(t testing.TB, pid int) (now, peak int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	if now == 0 || peak == 0 {
		t.Fatalf("no memory in\n%s", status)
	}
	return now << 10, peak << 10
}

// Package servicetest builds the service's binary and runs it, for tests that use it from outside as its
// users do.
package servicetest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// wait bounds how long a process may take to listen and to stop.
const wait = 20 * time.Second

// Root returns the folder of the service's module, also in tests of a module within it.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		mod, _ := os.ReadFile(filepath.Join(dir, "go.mod"))
		if strings.HasPrefix(string(mod), "module authentik-graphql\n") {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("the service's go.mod is not above the test's folder")
		}
	}
}

// Program finds a program on the PATH. Without the program the test is skipped, or fails if CI=true.
func Program(t testing.TB, name string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed; skipping", name)
	}
	return path
}

// Long marks a test that takes long, or whose programs most machines lack. It runs with LONG=1, as set by
// make test-long, and is skipped otherwise.
func Long(t testing.TB) {
	t.Helper()
	if os.Getenv("LONG") != "1" {
		t.Skip("it takes long: make test-long runs it")
	}
}

// Build compiles the service as make build does, with further flags of go build. The binary is named
// authentik-graphql and is alone in its folder.
func Build(t testing.TB, flags ...string) (binary string) {
	t.Helper()
	root := Root(t)
	noticeChanges(t, root)
	binary = filepath.Join(t.TempDir(), "authentik-graphql")
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", binary}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, ".")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the service: %v\n%s", err, out)
	}
	return binary
}

// noticeChanges reads the module's folders. go test caches the result of a test until something changes
// that the test imports or opens, and it does not see what go build opens. Without this, a cached result
// would outlive a change of the service.
func noticeChanges(t testing.TB, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Service is a running process of the binary.
type Service struct {
	// Addr is its address, URL the same as a URL.
	Addr, URL string

	t     testing.TB
	cmd   *exec.Cmd
	ended chan error
	// checked is set once a test has the result of the process.
	checked bool
	log     log
}

// Start starts the binary with nothing but settings in its environment and waits until it listens on a port
// that the system chose. The end of the test stops it, and fails if it does not stop cleanly.
func Start(t testing.TB, binary string, args []string, settings ...string) *Service {
	t.Helper()
	s := &Service{t: t, cmd: exec.Command(binary, args...), ended: make(chan error, 1)}
	s.cmd.Env = append([]string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=off", "LOG_FORMAT=json"}, settings...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start the service: %v", err)
	}
	listening := make(chan string, 1)
	go func() {
		for scan := bufio.NewScanner(stderr); scan.Scan(); {
			var line struct{ Msg, Address string }
			if json.Unmarshal(scan.Bytes(), &line) == nil && line.Msg == "listening" {
				listening <- line.Address
			}
			s.log.add(scan.Text())
		}
		s.ended <- s.cmd.Wait()
	}()
	t.Cleanup(s.stop)
	select {
	case s.Addr = <-listening:
		s.URL = "http://" + s.Addr
	case err := <-s.ended:
		s.ended <- err
		t.Fatalf("the service ended: %v\n%s", err, s.Log())
	case <-time.After(wait):
		t.Fatalf("the service does not listen\n%s", s.Log())
	}
	return s
}

// stop ends the process as an operator would, unless it has ended.
func (s *Service) stop() {
	s.t.Helper()
	http.DefaultClient.CloseIdleConnections() // or the service waits for them
	checked := s.checked
	if err := s.End(syscall.SIGTERM); err != nil && !checked {
		s.t.Errorf("the service ended with: %v\n%s", err, s.Log())
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

// Log returns what the process has logged.
func (s *Service) Log() string { return s.log.String() }

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

// log may be written and read at the same time.
type log struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.WriteString(line + "\n")
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

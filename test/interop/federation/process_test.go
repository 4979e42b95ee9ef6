package federation

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const examples = "../../../examples/federation/"

// needsPackages skips the test if node or the packages of a folder are missing, or fails it if CI=true.
func needsPackages(t *testing.T, dirs ...string) {
	t.Helper()
	var missing []string
	if _, err := exec.LookPath("node"); err != nil {
		missing = append(missing, "node is not installed")
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
			missing = append(missing, "run: npm ci --ignore-scripts --prefix "+filepath.Clean(filepath.Join("test/interop/federation", dir)))
		}
	}
	switch {
	case missing == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(strings.Join(missing, "\n"))
	default:
		t.Skip(strings.Join(missing, "\n"))
	}
}

// start runs a program until the test ends and returns what the first group of ready matches in its output.
func start(t *testing.T, dir string, environ []string, ready *regexp.Regexp, name string, args ...string) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...) //nolint:noctx // killed by the cleanup, after the last use
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environ, write, write
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		t.Fatalf("start %s: %v", name, err)
	}
	var output strings.Builder // the reader's until it has ended
	found := make(chan string, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(found)
		for lines := bufio.NewReader(read); ; {
			line, err := lines.ReadString('\n')
			output.WriteString(line)
			if m := ready.FindStringSubmatch(line); m != nil && len(found) == 0 {
				found <- m[1]
			}
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = read.SetReadDeadline(time.Now().Add(time.Second)) // if it left a child behind
		reader.Wait()
		_ = read.Close()
		if t.Failed() {
			t.Logf("output of %s %s:\n%s", name, strings.Join(args, " "), output.String())
		}
	})
	select {
	case address, ok := <-found:
		if !ok {
			t.Fatalf("%s %s ended", name, strings.Join(args, " "))
		}
		return address
	case <-time.After(60 * time.Second):
		t.Fatalf("%s %s is not ready", name, strings.Join(args, " "))
	}
	return ""
}

// run runs a program and returns its output.
func run(t *testing.T, dir, stdin string, environ []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = dir, environ, strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// with adds variables to this process's environment.
func with(variables ...string) []string { return append(os.Environ(), variables...) }

// freePort finds a port for a program that does not print which port the system gave it.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

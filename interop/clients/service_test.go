package clients

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// build compiles the service as make build does.
func build(t *testing.T) (binary string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	noticeChanges(t, root)
	binary = filepath.Join(t.TempDir(), "authentik-graphql")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the service: %v\n%s", err, out)
	}
	return binary
}

// noticeChanges reads every folder of the module but those of packages. go test keeps the result of
// a test until something changes that the test imports or opens, and it sees neither what go build
// nor what node opens: without this, a service that was broken since would still pass.
func noticeChanges(t *testing.T, root string) {
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

// startService starts the binary with nothing in its environment but settings, waits until it
// listens, and returns its address. The test's end stops it and fails if it does not stop cleanly.
func startService(t *testing.T, binary string, args []string, settings ...string) (url string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"LISTEN_ADDR=127.0.0.1:0", "LOG_FORMAT=json"}, settings...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	ended := make(chan error, 1)
	var lines strings.Builder // read once the process has ended
	go func() {
		for scan := bufio.NewScanner(log); scan.Scan(); {
			var line struct{ Msg, Address string }
			if json.Unmarshal(scan.Bytes(), &line) == nil && line.Msg == "listening" {
				listening <- line.Address
			}
			lines.WriteString(scan.Text() + "\n")
		}
		ended <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		stop := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer stop.Stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with: %v", err)
		}
		if t.Failed() {
			t.Logf("the service's log:\n%s", lines.String())
		}
	})
	select {
	case address := <-listening:
		return "http://" + address
	case err := <-ended:
		ended <- err
		t.Fatal("the service ended before it listened")
	case <-time.After(20 * time.Second):
		t.Fatal("the service does not listen")
	}
	return ""
}

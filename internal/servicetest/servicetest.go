// Package servicetest builds the service's binary and runs it, for tests that use it from outside as its
// users do.
package servicetest

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

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

// File returns the content of a file of the module, named from its root.
func File(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// WriteFile replaces a file atomically, as an editor of secrets should, and returns its path.
func WriteFile(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Authentik is a fake authentik that listens.
type Authentik struct {
	*upstreamtest.Authentik
	URL string
}

// StartAuthentik starts a fake authentik, which ends with the test.
func StartAuthentik(t testing.TB, o upstreamtest.Options) *Authentik {
	t.Helper()
	a := upstreamtest.New(o)
	srv := httptest.NewServer(a)
	t.Cleanup(func() { a.Close(); srv.Close() })
	return &Authentik{Authentik: a, URL: srv.URL}
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

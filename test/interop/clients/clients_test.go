package clients

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// TestClients runs every *.test.mjs.
func TestClients(t *testing.T) {
	servicetest.Long(t)
	needNode(t)
	binary := servicetest.Build(t)
	files, err := filepath.Glob("*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no *.test.mjs: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".test.mjs"), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "--test-timeout=120000", file)
			cmd.Env = append(environ(binary),
				// A code is fetched again after a second, so that a poll sees a change. The demo's 503
				// asks for a longer wait than the timeout allows, so it is answered at once.
				"SERVICE_URL="+servicetest.Start(t, binary, []string{"-demo"}, "CACHE_TTL=1s", "UPSTREAM_TIMEOUT=2s").URL,
				"COLLIDING_URL="+servicetest.Start(t, binary, nil, "AUTHENTIK_URL="+startColliding(t)).URL,
			)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// startColliding starts an authentik whose code 1 belongs to provider 1. The demo has no objects of
// the same id; a real authentik has, as it counts codes, providers and users from 1 each.
func startColliding(t *testing.T) (url string) {
	t.Helper()
	a := upstreamtest.New(upstreamtest.Options{})
	a.AddCode(upstreamtest.Code{PK: upstreamtest.ProviderGrafana, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana})
	srv := httptest.NewServer(a)
	t.Cleanup(func() { a.Close(); srv.Close() })
	return srv.URL
}

// needNode skips the test where node or the packages are not installed, and fails it in CI.
func needNode(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("node_modules/.package-lock.json")
	}
	if err == nil {
		return
	}
	fail := t.Skipf
	if os.Getenv("CI") == "true" {
		fail = t.Fatalf
	}
	fail("%v: install Node.js 20 or later and run npm ci --prefix test/interop/clients --ignore-scripts", err)
}

// environ is the environment of a program that runs in node: authentik-graphql is on its PATH, and
// nothing is fetched from npm.
func environ(binary string) []string {
	path := filepath.Dir(binary) + string(os.PathListSeparator) + os.Getenv("PATH")
	return append(os.Environ(), "PATH="+path, "npm_config_offline=true", "NO_COLOR=1")
}

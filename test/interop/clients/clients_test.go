package clients

import (
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
				// CACHE_TTL lets a poll see a change. The demo's 503 asks for a longer wait than
				// UPSTREAM_TIMEOUT allows, so that it is answered at once.
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

// startColliding starts an authentik whose code 1 belongs to provider 1. Objects of a real authentik have
// such ids, as it counts each resource from 1, but those of the demo have not.
func startColliding(t *testing.T) (url string) {
	t.Helper()
	a := servicetest.StartAuthentik(t, upstreamtest.Options{})
	a.AddCode(upstreamtest.Code{PK: upstreamtest.ProviderGrafana, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana})
	return a.URL
}

// needNode skips the test if node or the packages are not installed, or fails it if CI=true.
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

// environ returns the environment of a program in node: authentik-graphql is on its PATH, and npm is offline.
func environ(binary string) []string {
	path := filepath.Dir(binary) + string(os.PathListSeparator) + os.Getenv("PATH")
	return append(os.Environ(), "PATH="+path, "npm_config_offline=true", "NO_COLOR=1")
}

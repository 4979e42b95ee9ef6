package federation

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"authentik-graphql/internal/servicetest"
)

// TestFederation starts the service, without introspection, and a second subgraph, and asks them through
// gateways.
func TestFederation(t *testing.T) {
	servicetest.Long(t)
	inventory := examples + "inventory"
	needsPackages(t, inventory)
	binary := servicetest.Build(t)
	service := servicetest.Start(t, binary, []string{"-demo"}, "INTROSPECTION=false").URL + "/graphql"
	second := start(t, inventory, with("PORT=0"), listening, "node", "server.mjs")
	sdl := serviceSDL(t, service)

	t.Run("the flag prints what _service answers", func(t *testing.T) {
		if out := run(t, t.TempDir(), "", nil, binary, "-schema"); out != sdl {
			t.Errorf("they differ:\n%s\n%s", out, sdl)
		}
	})
	t.Run("composition", func(t *testing.T) {
		needsPackages(t, ".")
		testComposition(t, sdl)
	})
	t.Run("Apollo Gateway", func(t *testing.T) {
		needsPackages(t, examples+"apollo-gateway")
		testGateway(t, start(t, examples+"apollo-gateway", with("PORT=0", "SUBGRAPHS=authentik="+service+" inventory="+second),
			listening, "node", "server.mjs"))
	})
	t.Run("Hive Gateway", func(t *testing.T) {
		needsPackages(t, examples+"hive")
		supergraph := filepath.Join(t.TempDir(), "supergraph.graphql")
		write(t, supergraph, run(t, examples+"hive", "", os.Environ(), "node", "compose.mjs", "authentik="+service, "inventory="+second))
		testGateway(t, start(t, examples+"hive", with("PORT="+freePort(t), "SUPERGRAPH="+supergraph, "NO_COLOR=1"),
			listening, "node", "node_modules/.bin/hive-gateway", "supergraph")+"/graphql")
	})
	t.Run("Hive's composition names a subgraph that cannot be reached", func(t *testing.T) {
		needsPackages(t, examples+"hive")
		gone := "http://127.0.0.1:" + freePort(t)
		cmd := exec.CommandContext(t.Context(), "node", "compose.mjs", "authentik="+service, "inventory="+gone)
		var stdout, stderr strings.Builder
		cmd.Dir, cmd.Stdout, cmd.Stderr = examples+"hive", &stdout, &stderr
		err := cmd.Run()
		want := "inventory at " + gone + ": connect ECONNREFUSED " + strings.TrimPrefix(gone, "http://") + "\n"
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("%v, %q, %q; want %q", err, stdout.String(), stderr.String(), want)
		}
	})
	t.Run("Cosmo Router", func(t *testing.T) {
		needsPackages(t, examples+"cosmo")
		testCosmo(t, sdl)
	})
}

// listening matches the line on which the gateways and subgraphs of the examples print their address.
var listening = regexp.MustCompile(`(?i)listening on (http://[^\s\x1b]+)`)

// testCosmo composes as docs/gateways.md says, in a folder with links to the example's files.
func testCosmo(t *testing.T, sdl string) {
	here, err := filepath.Abs(examples)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, link := range []string{"inventory", "cosmo/compose.yaml"} {
		path := filepath.Join(dir, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(here, link), path); err != nil {
			t.Fatal(err)
		}
	}
	cosmo := filepath.Join(dir, "cosmo")
	write(t, filepath.Join(cosmo, "authentik.graphql"), sdl)
	run(t, cosmo, "", with("COSMO_TELEMETRY_DISABLED=true"), "node", filepath.Join(here, "cosmo/node_modules/.bin/wgc"),
		"router", "compose", "-i", "compose.yaml", "-o", "router.json")
	var config struct {
		Subgraphs    []struct{ Name, RoutingURL string }
		EngineConfig struct{ GraphqlSchema string }
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(cosmo, "router.json"))), &config); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(config.Subgraphs); got != "[{authentik http://127.0.0.1:8080/graphql} {inventory http://127.0.0.1:4001/graphql}]" {
		t.Errorf("subgraphs %s", got)
	}
	for _, field := range []string{"authorizationCode(", "seenCodes(", "owner: String", "clientId: String"} {
		wants(t, config.EngineConfig.GraphqlSchema, field)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path) //nolint:gosec // a file of this test
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"authentik-graphql/internal/servicetest"
)

// samples are valid contents of files with secrets, by setting.
var samples = map[string]string{
	"CACHE_SECRET_FILE": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	"REDIS_URL_FILE":    "redis://authentik-graphql:password@redis.example.com:6379/0",

	"AUTHENTIK_TOKEN_FILE": "token",
	"CALLERS_FILE":         "grafana 5270c37850d4465ec6b741c2ead2f30e02f675c162078d7096e41d6f33440268",
}

// accepts checks an environment with the binary. files are the paths that the deployment mounts.
func accepts(t *testing.T, binary string, environ map[string]string, files ...string) {
	t.Helper()
	given := map[string]bool{}
	for _, file := range files {
		given[file] = true
	}
	var list []string
	for name, value := range environ {
		if sample, ok := samples[name]; ok {
			if !given[value] {
				t.Errorf("%s names %s; there are %q", name, value, files)
			}
			value = filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(value, []byte(sample), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, name+"="+value)
	}
	servicetest.Accepts(t, binary, list...)
}

// drain returns how long the service takes to stop at most: it waits for load balancers, for idle
// connections, and for requests that run.
func drain(t *testing.T, settings map[string]string) time.Duration {
	t.Helper()
	source := read(t, "../internal/httpserver/server.go")
	total := time.Second
	if !strings.Contains(source, "idleGrace = time.Second\n") {
		t.Fatal("idle connections are not kept for a second")
	}
	slack := regexp.MustCompile(`requestSlack = (\d+) \* time.Second`).FindStringSubmatch(source)
	for _, text := range []string{settings["SHUTDOWN_DELAY"], settings["OPERATION_TIMEOUT"], slack[1] + "s"} {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		total += d
	}
	return total
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// memory returns the process's memory limit for a number of connections, by the README's formula.
func memory(t *testing.T, settings map[string]string, connections int64) int64 {
	t.Helper()
	cache, err := humanize.ParseBytes(settings["CACHE_MEMORY"])
	if err != nil {
		t.Fatal(err)
	}
	return int64(cache) + 64<<20 + max(0, connections-500)*(32<<10)
}

// mostMemory returns the limit for all connections that the settings allow, and a tenth more: it is a soft
// limit.
func mostMemory(t *testing.T, settings map[string]string) int64 {
	t.Helper()
	return memory(t, settings, number(t, settings["MAX_CONNECTIONS"])) * 11 / 10
}

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// TestMetricsAreWellFormed has promtool check a scrape of a service that uses all that it can: names,
// types and texts.
func TestMetricsAreWellFormed(t *testing.T) {
	promtool := servicetest.Program(t, "promtool")
	_, text := takeInventory(t)
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	for name := range metricTypes(text) {
		if !strings.Contains(text, "# HELP "+name+" ") {
			t.Errorf("%s has no help", name)
		}
	}
	if len(regexp.MustCompile(`(?m)^authentik_graphql_request_duration_seconds_bucket\{type="query",le="[^"]+"\} `).FindAllString(text, -1)) < 10 {
		t.Error("the duration of requests has no buckets that every Prometheus reads")
	}
}

// TestPrometheusScrapes has a real Prometheus scrape the admin listener, and asks it what it knows: with
// and without native histograms, which take the place of the buckets, each query of the dashboard has an
// answer.
func TestPrometheusScrapes(t *testing.T) {
	rs := cachetest.StartRedis(t)
	_, a := newWorld(t, upstreamtest.Options{}, "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret)
	query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	for _, tt := range []struct {
		name     string
		flag     string
		quantile string
	}{
		{"buckets", "--log.format=logfmt", `histogram_quantile(0.5, authentik_graphql_request_duration_seconds_bucket{type="query"})`},
		{"native histograms", "--enable-feature=native-histograms", `histogram_quantile(0.5, authentik_graphql_request_duration_seconds{type="query"})`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // Prometheus lets some seconds pass before it begins
			api := startPrometheus(t, strings.TrimPrefix(a.Admin, "http://"), tt.flag)
			if got := evaluate(t, api, `authentik_graphql_requests_total{type="query",outcome="ok"}`); got != "1" {
				t.Errorf("%s requests", got)
			}
			if got := evaluate(t, api, `sum(authentik_graphql_build_info)`); got != "1" {
				t.Errorf("%s builds", got)
			}
			if took, err := time.ParseDuration(evaluate(t, api, tt.quantile) + "s"); err != nil || took <= 0 || took > 10*time.Second {
				t.Errorf("the median is %v, %v", took, err)
			}
			for _, query := range readDashboard(t).queries() {
				if !strings.HasSuffix(query, " > 0") { // which nothing is, as nothing failed
					cachetest.Eventually(t, query, func() bool { return len(valuesOf(t, api, query)) > 0 })
				}
			}
		})
	}
}

// startPrometheus starts a server that scrapes an address, until the test ends, and returns the address of
// its API.
func startPrometheus(t *testing.T, target, flag string) (api string) {
	t.Helper()
	program, dir, log := servicetest.Program(t, "prometheus"), t.TempDir(), newBuffer()
	config := filepath.Join(dir, "prometheus.yml")
	content := fmt.Sprintf("scrape_configs: [{job_name: service, scrape_interval: 100ms, scrape_timeout: 100ms, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0", flag) //nolint:noctx // the test's end stops it gently
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("Prometheus ended with: %v\n%s", err, log)
		}
	})
	for _, said := range []string{"Server is ready", `msg="Listening on"`} { // in either order
		select {
		case <-log.Contains(said):
		case <-time.After(20 * time.Second):
			t.Fatalf("Prometheus does not start:\n%s", log)
		}
	}
	listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`).FindStringSubmatch(log.String())
	if listening == nil {
		t.Fatalf("Prometheus does not tell where it listens:\n%s", log)
	}
	return "http://" + listening[1] + "/api/v1/query?query="
}

// evaluate waits until Prometheus has one value for a query.
func evaluate(t *testing.T, api, query string) (value string) {
	t.Helper()
	cachetest.Eventually(t, query, func() bool {
		values := valuesOf(t, api, query)
		if len(values) != 1 {
			return false
		}
		value = values[0]
		return value != "NaN"
	})
	return value
}

// valuesOf asks Prometheus for the values that a query has now.
func valuesOf(t *testing.T, api, query string) (values []string) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	resp, err := http.DefaultClient.Do(newRequest(t, http.MethodGet, api+url.QueryEscape(query), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d, %v", query, resp.StatusCode, err)
	}
	for _, result := range answer.Data.Result {
		values = append(values, fmt.Sprint(result.Value[1]))
	}
	return values
}

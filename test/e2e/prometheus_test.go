package e2e

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

// TestPrometheusScrapes has a real Prometheus scrape the admin listener and evaluate the dashboard's queries,
// with classic histograms and with native ones, which replace them.
func TestPrometheusScrapes(t *testing.T) {
	t.Parallel()
	rs := cachetest.StartRedis(t)
	_, a := newWorld(t, upstreamtest.Options{}, "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret)
	query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	for _, tt := range []struct {
		name     string
		flag     string
		quantile string
	}{
		{"classic histograms", "--log.format=logfmt", `histogram_quantile(0.5, authentik_graphql_request_duration_seconds_bucket{type="query"})`},
		{"native histograms", "--enable-feature=native-histograms", `histogram_quantile(0.5, authentik_graphql_request_duration_seconds{type="query"})`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // Prometheus needs some seconds to start
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
			checkDashboard(t, api)
		})
	}
}

// checkDashboard fails unless each query of the dashboard has an answer, with the labels that its legend
// shows.
func checkDashboard(t *testing.T, api string) {
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(file(t, "deploy/grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$instance", ".*", "$__rate_interval", "10s", " > 0", "") // nothing has failed
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			query := fill.Replace(target.Expr)
			var got []sample
			cachetest.Eventually(t, query, func() bool { got = samplesOf(t, api, query); return len(got) > 0 })
			for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if got[0].Metric[label[1]] == "" {
					t.Errorf("%s has no label %s for its legend", query, label[1])
				}
			}
		}
	}
}

// startPrometheus starts a Prometheus that scrapes an address until the test ends, and returns the address of
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
		samples := samplesOf(t, api, query)
		if len(samples) != 1 {
			return false
		}
		value = fmt.Sprint(samples[0].Value[1])
		return value != "NaN"
	})
	return value
}

// sample is a series in an answer of Prometheus, with its time and value.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// samplesOf returns the current samples of a query.
func samplesOf(t *testing.T, api, query string) []sample {
	t.Helper()
	var answer struct {
		Data struct{ Result []sample }
	}
	resp, err := http.DefaultClient.Do(newRequest(t, http.MethodGet, api+url.QueryEscape(query), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d, %v", query, resp.StatusCode, err)
	}
	return answer.Data.Result
}

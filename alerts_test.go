package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"authentik-graphql/internal/config"
	"authentik-graphql/internal/servicetest"
)

const prometheusFiles = "deploy/prometheus"

type alertRule struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func readAlerts(t *testing.T) (rules []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	if err := yaml.Unmarshal([]byte(must(t, filepath.Join(prometheusFiles, "alerts.yml"))), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) == 0 {
		t.Fatal("there are no alerts")
	}
	return rules
}

// TestPromtool has promtool check the example of a configuration with its alerts, and run their tests.
func TestPromtool(t *testing.T) {
	promtool := servicetest.Program(t, "promtool")
	for _, args := range []string{"check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml"} {
		cmd := exec.CommandContext(t.Context(), promtool, strings.Fields(args)...)
		cmd.Dir = prometheusFiles
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}

// TestAlerts: each is of metrics and labels that there are, says what to do, and has a test in which it
// fires and one in which it does not.
func TestAlerts(t *testing.T) {
	known, _ := takeInventory(t)
	fires := alertTests(t)
	for _, rule := range readAlerts(t) {
		known.checkQuery(t, rule.Expr)
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s is of the severity %q", rule.Alert, severity)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is about", rule.Alert)
		}
		if want := operations + "#" + strings.ToLower(rule.Alert); rule.Annotations["runbook"] != want {
			t.Errorf("%s has the runbook %q, not %s", rule.Alert, rule.Annotations["runbook"], want)
		}
		for _, want := range []bool{true, false} {
			if !slices.Contains(fires[rule.Alert], want) {
				t.Errorf("no test in which %s fires: %t", rule.Alert, want)
			}
		}
	}
}

// alertTests are whether each alert is expected to fire, in each test of it.
func alertTests(t *testing.T) map[string][]bool {
	t.Helper()
	var file struct {
		Tests []struct {
			Rules []struct {
				Alert  string `yaml:"alertname"`
				Firing []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(must(t, filepath.Join(prometheusFiles, "alerts_test.yml"))), &file); err != nil {
		t.Fatal(err)
	}
	fires := map[string][]bool{}
	for _, test := range file.Tests {
		for _, rule := range test.Rules {
			fires[rule.Alert] = append(fires[rule.Alert], len(rule.Firing) > 0)
		}
	}
	return fires
}

// TestScrapeExample: the example scrapes where the service listens if nobody says otherwise, under the
// job that the alerts are about.
func TestScrapeExample(t *testing.T) {
	var file struct {
		Jobs []struct {
			Name    string                       `yaml:"job_name"`
			Targets []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(must(t, filepath.Join(prometheusFiles, "prometheus.yml"))), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Jobs) != 1 || file.Jobs[0].Targets[0].Targets[0] != adminAddr() {
		t.Fatalf("it scrapes %+v", file.Jobs)
	}
	for _, job := range regexp.MustCompile(`job="([^"]*)"`).FindAllStringSubmatch(must(t, filepath.Join(prometheusFiles, "alerts.yml")), -1) {
		if job[1] != file.Jobs[0].Name {
			t.Errorf("an alert is about the job %s", job[1])
		}
	}
}

// adminAddr is the default of ADMIN_ADDR.
func adminAddr() string {
	all := config.Settings()
	return all[slices.IndexFunc(all, func(s config.Setting) bool { return s.Name == "ADMIN_ADDR" })].Default
}

package deploy

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"authentik-graphql/internal/servicetest"
)

// inventory has the names of the metrics, with their labels and the labels' values.
type inventory map[string]map[string][]string

// readInventory reads the list of metrics that a test of the service compares with those that exist.
func readInventory(t *testing.T) inventory {
	t.Helper()
	known, name := inventory{}, ""
	for line := range strings.Lines(read(t, "../internal/telemetry/testdata/metrics.txt")) {
		if label, values, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			known[name][label] = strings.Fields(values)
			continue
		}
		kind, metric, _ := strings.Cut(strings.TrimSpace(line), " ")
		name = metric
		known[name] = map[string][]string{}
		if kind == "histogram" { // labels are the same in each of its series
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				known[name+suffix] = known[name]
			}
		}
	}
	return known
}

var metricName = regexp.MustCompile(`\b(?:authentik|go|process)_\w+`)

// checkNames fails unless a text names metrics, and only ones that exist.
func (known inventory) checkNames(t *testing.T, text string) (names []string) {
	t.Helper()
	names = metricName.FindAllString(text, -1)
	for _, name := range names {
		if _, ok := known[name]; !ok {
			t.Errorf("there is no metric %s: %s", name, text)
		}
	}
	return names
}

// promtool runs it in the folder of Prometheus's files.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), servicetest.Program(t, "promtool"), args...)
	cmd.Dir = "prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", args, err, out)
	}
}

// TestPromtool checks the example of a configuration and its alerts, and runs the tests of the alerts.
func TestPromtool(t *testing.T) {
	promtool(t, "check", "config", "prometheus.yml")
	promtool(t, "check", "rules", "alerts.yml")
	promtool(t, "test", "rules", "alerts_test.yml")
}

type alert struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func readAlerts(t *testing.T) (alerts []alert) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		alerts = append(alerts, group.Rules...)
	}
	if len(alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	return alerts
}

// alertTests are promtool's tests of the alerts.
type alertTests struct {
	Tests []struct {
		Input []struct{ Series string } `json:"input_series"`
		Rules []struct {
			Alert  string `json:"alertname"`
			Firing []any  `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	}
}

func readAlertTests(t *testing.T) (tests alertTests) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/alerts_test.yml")), &tests); err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestAlerts: each alert uses metrics that exist, says what to do, and has a test in which it fires and one
// in which it does not.
func TestAlerts(t *testing.T) {
	known, fires := readInventory(t), map[string][]bool{}
	for _, test := range readAlertTests(t).Tests {
		for _, rule := range test.Rules {
			fires[rule.Alert] = append(fires[rule.Alert], len(rule.Firing) > 0)
		}
	}
	for _, rule := range readAlerts(t) {
		if names := known.checkNames(t, rule.Expr); len(names) == 0 && !strings.Contains(rule.Expr, "up{") {
			t.Errorf("%s uses no metric", rule.Alert)
		}
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has the severity %q", rule.Alert, severity)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is about", rule.Alert)
		}
		if want := "docs/operations.md#" + strings.ToLower(rule.Alert); rule.Annotations["runbook"] != want {
			t.Errorf("%s has the runbook %q, not %s", rule.Alert, rule.Annotations["runbook"], want)
		}
		for _, want := range []bool{true, false} {
			if !slices.Contains(fires[rule.Alert], want) {
				t.Errorf("no test in which %s fires: %t", rule.Alert, want)
			}
		}
	}
}

// TestAlertTestSeries: the tests of the alerts use series that exist. An alert that selects another series
// does not fire in them.
func TestAlertTestSeries(t *testing.T) {
	known := readInventory(t)
	known["up"] = nil
	labels := regexp.MustCompile(`(\w+)="([^"]*)"`)
	for _, test := range readAlertTests(t).Tests {
		for _, input := range test.Input {
			name, rest, _ := strings.Cut(input.Series, "{")
			have, ok := known[name]
			if !ok {
				t.Errorf("there is no metric %s", name)
			}
			for _, label := range labels.FindAllStringSubmatch(rest, -1) {
				ofTarget := slices.Contains([]string{"job", "instance", "le"}, label[1])
				if !ofTarget && !slices.Contains(have[label[1]], label[2]) {
					t.Errorf("there is no series %s", input.Series)
				}
			}
		}
	}
}

// TestAlertsAreDocumented: each alert has a heading in docs/operations.md, in the same order, and there is no
// other.
func TestAlertsAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "../docs/operations.md"), "\n## Alerts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented, alerts []string
	for _, heading := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(section, -1) {
		documented = append(documented, heading[1])
	}
	for _, rule := range readAlerts(t) {
		alerts = append(alerts, rule.Alert)
	}
	if !slices.Equal(documented, alerts) {
		t.Errorf("documented are\n%q, there are\n%q", documented, alerts)
	}
}

// TestScrapeExample: the example scrapes the default of ADMIN_ADDR, under the job that the alerts name.
func TestScrapeExample(t *testing.T) {
	var file struct {
		Jobs []struct {
			Name    string                       `json:"job_name"`
			Targets []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/prometheus.yml")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Jobs) != 1 || !strings.Contains(read(t, "../docs/settings.md"), "\n| `ADMIN_ADDR` | `"+file.Jobs[0].Targets[0].Targets[0]+"` |") {
		t.Fatalf("it scrapes %+v", file.Jobs)
	}
	alerts, job := read(t, "prometheus/alerts.yml"), `job="`
	if strings.Count(alerts, job) != strings.Count(alerts, job+file.Jobs[0].Name+`"`) {
		t.Errorf("an alert names another job than %s", file.Jobs[0].Name)
	}
}

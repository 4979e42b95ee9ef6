package main

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/internal/servicetest"
)

// targetLabels are those that Prometheus itself gives to what it scrapes.
var targetLabels = []string{"job", "instance"}

var (
	// selectors are of our metrics, and of Go's and the process's. What looks like one of them and is none is
	// a mistake.
	selectors = regexp.MustCompile(`\b(authentik\w*|go_\w+|process_\w+|up)\b(?:\{([^}]*)\})?`)
	matchers  = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)
	groupings = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right) ?\(([^)]*)\)`)
)

// labelsOf are a metric's labels and their values; a histogram's are those of its count. ok is false if
// there is no such metric.
func (known inventory) labelsOf(metric string) (labels map[string][]string, ok bool) {
	if metric == "up" {
		return nil, true
	}
	if labels, ok = known[metric]; !ok {
		labels, ok = known[metric+"_count"]
	}
	return labels, ok
}

// checkQuery fails unless each metric that a query names is known, with the labels and the values of them
// that the query names. It returns the labels that there are.
func (known inventory) checkQuery(t *testing.T, query string) (labels []string) {
	t.Helper()
	labels, problems := known.problemsOf(query)
	for _, problem := range problems {
		t.Errorf("%s: %s", problem, query)
	}
	return labels
}

func (known inventory) problemsOf(query string) (labels, problems []string) {
	labels = slices.Clone(targetLabels)
	found := selectors.FindAllStringSubmatch(query, -1)
	if len(found) == 0 {
		problems = append(problems, "no metric")
	}
	for _, selector := range found {
		have, ok := known.labelsOf(selector[1])
		if !ok {
			problems = append(problems, "no metric "+selector[1])
		}
		for _, matcher := range matchers.FindAllStringSubmatch(selector[2], -1) {
			if !slices.Contains(targetLabels, matcher[1]) && !matches(have[matcher[1]], matcher[2], matcher[3]) {
				problems = append(problems, "no series of "+selector[1]+" for "+matcher[0])
			}
		}
		labels = slices.AppendSeq(labels, maps.Keys(have))
	}
	for _, grouping := range groupings.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(grouping[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(labels, label) {
				problems = append(problems, "no label "+label)
			}
		}
	}
	return labels, problems
}

// matches tells whether a matcher is about a value that there is.
func matches(values []string, operator, text string) bool {
	if strings.HasSuffix(operator, "~") {
		return slices.ContainsFunc(values, regexp.MustCompile("^(?:"+text+")$").MatchString)
	}
	return slices.Contains(values, text)
}

// parseQueries has promtool parse queries, by rules that record them.
func parseQueries(t *testing.T, queries []string) {
	t.Helper()
	promtool := servicetest.Program(t, "promtool")
	rules := make([]map[string]string, len(queries))
	for i, query := range queries {
		rules[i] = map[string]string{"record": "test:query:" + strings.Repeat("x", i+1), "expr": query}
	}
	file, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "test", "rules": rules}}}) // which is YAML, too
	if err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, filepath.Join(t.TempDir(), "rules.yml"), string(file))
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCheckQuery: what is wrong with a query is found.
func TestCheckQuery(t *testing.T) {
	known := inventory{"authentik_a_total": {"code": {"X", "Y"}}, "authentik_b_count": {"type": {"query"}}}
	for query, good := range map[string]bool{
		`sum by (code) (rate(authentik_a_total{code="X"}[5m]))`:                   true,
		`authentik_a_total{code=~"X|Z",job="any"} / ignoring(code) group_left up`: true,
		`histogram_quantile(0.9, sum by (type) (authentik_b{type!="query"}))`:     true,
		`vector(1)`:                           false,
		`authentik_c`:                         false,
		`authentik_a`:                         false,
		`authentik_a_total{type="X"}`:         false,
		`authentik_a_total{code="Z"}`:         false,
		`authentik_a_total{code=~"x.*"}`:      false,
		`sum by (type) (authentik_a_total)`:   false,
		`authentik_a_total and on (type) up`:  false,
		`authentik_a_total + authentik_b_sum`: false,
	} {
		if _, problems := known.problemsOf(query); (len(problems) == 0) != good {
			t.Errorf("%s: %q", query, problems)
		}
	}
}

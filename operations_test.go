package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const operations = "docs/operations.md"

// section is the part of docs/operations.md under a heading, up to the next of the same level.
func section(t *testing.T, heading string) string {
	t.Helper()
	level, _, _ := strings.Cut(heading, " ")
	_, after, found := strings.Cut(must(t, operations), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no %q", operations, heading)
	}
	part, _, _ := strings.Cut(after, "\n"+level+" ")
	return part
}

// TestOperationsMetrics: every metric is in the table with its labels and their values, and no other.
func TestOperationsMetrics(t *testing.T) {
	known, text := takeInventory(t)
	table := section(t, "## Metrics")
	rows, always := map[string]string{}, metricTypes(newAsker(t).metrics())
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)`( R)? \\|(.*)$").FindAllStringSubmatch(table, -1) {
		name := namespace + "_" + row[1]
		rows[name] = row[3]
		if without := always[name] != ""; without == (row[2] != "") {
			t.Errorf("%s is there without Redis: %t", name, without)
		}
	}
	var own []string
	for name := range metricTypes(text) {
		if strings.HasPrefix(name, namespace+"_") {
			own = append(own, name)
		}
	}
	slices.Sort(own)
	if listed := slices.Sorted(maps.Keys(rows)); !slices.Equal(listed, own) {
		t.Errorf("the table has\n%q, there are\n%q", listed, own)
	}
	for name, row := range rows {
		labels := known[name]
		if labels == nil {
			labels = known[name+"_count"]
		}
		for label, values := range labels {
			if !strings.Contains(row, "`"+label+"`") {
				t.Errorf("the row of %s does not name %s", name, label)
			}
			for _, value := range values {
				if label != "code" && label != "version" && label != "goversion" && !strings.Contains(table, "`"+value+"`") {
					t.Errorf("the table does not name %s of %s", value, name)
				}
			}
		}
	}
}

package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/cache/cachetest"
)

// inventory is what a scrape has: each series' name, with its labels and their values.
type inventory map[string]map[string][]string

// takeInventory makes one of a service that has all metrics, and returns the scrape as well.
func takeInventory(t *testing.T) (known inventory, text string) {
	t.Helper()
	rs := cachetest.StartRedis(t)
	a := newAsker(t, "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret)
	a.ask(codeTwo)
	text = a.metrics()
	known = inventory{}
	for _, line := range regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(text, -1) {
		if known[line[1]] == nil {
			known[line[1]] = map[string][]string{}
		}
		for _, label := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(line[2], -1) {
			if values := known[line[1]][label[1]]; !slices.Contains(values, label[2]) {
				known[line[1]][label[1]] = append(values, label[2])
			}
		}
	}
	return known, text
}

// metricTypes are the types of a scrape's metrics by name.
func metricTypes(text string) map[string]string {
	types := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)`).FindAllStringSubmatch(text, -1) {
		types[line[1]] = line[2]
	}
	return types
}

// TestMetricNames: whoever renames or takes away a metric, a label or one of its values sees that it is
// more than that. Dashboards and alerts of others go by them.
func TestMetricNames(t *testing.T) {
	const golden = "testdata/metrics.txt"
	known, text := takeInventory(t)
	types := metricTypes(text)
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if !strings.HasPrefix(name, "authentik_graphql_") {
			continue
		}
		fmt.Fprintf(&list, "%s %s\n", types[name], name)
		labels := known[name]
		if types[name] == "histogram" {
			labels = known[name+"_count"]
		}
		for _, label := range slices.Sorted(maps.Keys(labels)) {
			values := strings.Join(slices.Sorted(slices.Values(labels[label])), " ")
			if name == "authentik_graphql_build_info" {
				values = "*"
			}
			fmt.Fprintf(&list, "  %s: %s\n", label, values)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if list.String() != must(t, golden) {
		t.Errorf("the metrics are not those of %s any more:\n%s", golden, list.String())
	}
	for _, name := range []string{"go_goroutines", "go_gc_duration_seconds", "go_memstats_heap_alloc_bytes", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"} {
		if types[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
}

package telemetry

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/cache"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream"
)

var update = flag.Bool("update", false, "write testdata/metrics.txt instead of comparing with it")

// allMetrics are the metrics of a service, with or without Redis.
func allMetrics(redis bool) *Metrics {
	m := NewMetrics("test")
	m.UpstreamObserver()
	zero := func() int64 { return 0 }
	size := func() (int, uint64) { return 0, 0 }
	s := Sources{
		Cache:           func() (s cache.Stats) { return s },
		Upstream:        func() (s upstream.Stats) { return s },
		Keys:            someKeys,
		Replays:         zero,
		Memory:          size,
		Responses:       size,
		Documents:       size,
		OpenConnections: zero,
		Draining:        func() bool { return false },
	}
	if redis {
		m.RedisObserver()
		s.Redis = func() (s cache.RedisStatus) { return s }
	}
	m.Collect(s)
	return m
}

// someKeys are one key of each object.
func someKeys() (absent, unknown map[upstream.Key]int64) {
	absent = map[upstream.Key]int64{}
	for _, object := range []string{"grant", "provider", "redirect_uri", "user", "group", "role"} {
		absent[upstream.Key{Object: object, Field: "name"}] = 3
	}
	return absent, map[upstream.Key]int64{{Object: "user", Field: "nick"}: 4, {Object: "user", Field: "other"}: 5}
}

// metric is the type of a metric, and its labels with their values.
type metric struct {
	kind   string
	labels map[string][]string
}

func gather(t *testing.T, m *Metrics) map[string]metric {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metric{}
	for _, family := range families {
		found := metric{strings.ToLower(family.GetType().String()), map[string][]string{}}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if values := found.labels[label.GetName()]; !slices.Contains(values, label.GetValue()) {
					found.labels[label.GetName()] = append(values, label.GetValue())
				}
			}
		}
		all[family.GetName()] = found
	}
	return all
}

// TestMetricNames compares the metrics, their labels and the labels' values with a list: dashboards and
// alerts of others depend on them.
func TestMetricNames(t *testing.T) {
	const golden = "testdata/metrics.txt"
	// Those of the runtime and the process that dashboards may use.
	used := []string{"go_goroutines", "go_gc_duration_seconds", "go_memstats_heap_alloc_bytes", "process_resident_memory_bytes",
		"process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"}
	all := gather(t, allMetrics(true))
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, namespace+"_") && !slices.Contains(used, name) {
			continue
		}
		fmt.Fprintf(&list, "%s %s\n", all[name].kind, name)
		for _, label := range slices.Sorted(maps.Keys(all[name].labels)) {
			values := strings.Join(slices.Sorted(slices.Values(all[name].labels[label])), " ")
			if name == namespace+"_build_info" || label == "field" {
				values = "*"
			}
			fmt.Fprintf(&list, "  %s: %s\n", label, values)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || list.String() != string(want) {
		t.Errorf("the metrics differ from %s, %v:\n%s", golden, err, list.String())
	}
}

// TestMetricsAreWellFormed has promtool check names, types and help texts.
func TestMetricsAreWellFormed(t *testing.T) {
	promtool := servicetest.Program(t, "promtool")
	m, w := allMetrics(true), httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	for name := range gather(t, m) {
		if !strings.Contains(text, "# HELP "+name+" ") {
			t.Errorf("%s has no help", name)
		}
	}
	if strings.Count(text, "\n"+namespace+`_request_duration_seconds_bucket{type="query",le="`) < 10 {
		t.Error("the duration of requests has no classic buckets")
	}
}

// TestKeyMetrics has a series for each key that was counted.
func TestKeyMetrics(t *testing.T) {
	w := httptest.NewRecorder()
	allMetrics(false).Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, series := range []string{
		`absent_keys_total{field="name",object="redirect_uri"} 3`,
		`unknown_keys_total{field="nick",object="user"} 4`,
		`unknown_keys_total{field="other",object="user"} 5`,
	} {
		if !strings.Contains(w.Body.String(), "\n"+namespace+"_upstream_"+series+"\n") {
			t.Errorf("no %s", series)
		}
	}
}

// TestDocumentedMetrics compares the table of docs/operations.md with the metrics, their labels and the
// labels' values.
func TestDocumentedMetrics(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Metrics\n")
	table, _, _ = strings.Cut(table, "\n## ")
	all, always := gather(t, allMetrics(true)), gather(t, allMetrics(false))
	maps.DeleteFunc(all, func(name string, _ metric) bool { return !strings.HasPrefix(name, namespace+"_") })
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)`( R)? \\|(.*)$").FindAllStringSubmatch(table, -1) {
		name := namespace + "_" + row[1]
		rows[name] = row[3]
		if _, ok := always[name]; ok == (row[2] != "") {
			t.Errorf("%s exists without Redis: %t", name, ok)
		}
	}
	if listed, own := slices.Sorted(maps.Keys(rows)), slices.Sorted(maps.Keys(all)); !slices.Equal(listed, own) {
		t.Errorf("the table has\n%q, there are\n%q", listed, own)
	}
	for name, row := range rows {
		for label, values := range all[name].labels {
			if !strings.Contains(row, "`"+label+"`") {
				t.Errorf("the row of %s does not name %s", name, label)
			}
			for _, value := range values {
				if !slices.Contains([]string{"code", "version", "goversion", "field"}, label) && !strings.Contains(table, "`"+value+"`") {
					t.Errorf("the table does not name %s of %s", value, name)
				}
			}
		}
	}
}

package telemetry

import (
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAllCodesAreCounted compares the table of codes with the codes that package apierror defines.
func TestAllCodesAreCounted(t *testing.T) {
	source, err := os.ReadFile("../apierror/apierror.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := []string{"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}
	for _, code := range regexp.MustCompile(`= "([A-Z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		codes = append(codes, code[1])
	}
	slices.Sort(codes)
	if known := slices.Sorted(maps.Keys(codeOutcomes)); !slices.Equal(known, codes) {
		t.Errorf("counted are %q, apierror has %q", known, codes)
	}
}

// TestUnknownValuesAreCounted: an unknown operation type counts as none, an unknown code as other.
func TestUnknownValuesAreCounted(t *testing.T) {
	m := NewMetrics("test")
	m.RequestEnded(t.Context(), Request{Status: http.StatusOK, OperationType: "other", ErrorCodes: []string{"OTHER"}, Duration: time.Second})
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			text := metric.String()
			if metric.GetCounter().GetValue() == 1 && (strings.Contains(text, `"other"`) || strings.Contains(text, `"failed"`) && strings.Contains(text, `"none"`)) {
				found++
			}
		}
	}
	if found != 2 {
		t.Errorf("%d counters counted it", found)
	}
}

// BenchmarkRequestEnded measures what the metrics add to a replayed response.
func BenchmarkRequestEnded(b *testing.B) {
	m, r := NewMetrics("test"), Request{Status: http.StatusOK, OperationType: "query"}
	b.ReportAllocs()
	for b.Loop() {
		r.Duration = (r.Duration + 997) % time.Millisecond
		m.RequestEnded(b.Context(), r)
	}
}

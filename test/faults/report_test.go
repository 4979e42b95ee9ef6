//go:build linux

package faults

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const tableHead = "| Fault | Requests | Data | Stale | Errors | Unanswered | Worst latency | Recovered after | Goroutines | Memory, MiB | Peak, MiB |\n" +
	"|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|\n"

// tally counts outcomes.
type tally struct {
	sent, data, stale, cancelled, unanswered, wrong int
	codes                                           map[string]int
	worst                                           time.Duration // of the answered ones
}

func (t *tally) add(o outcome) {
	t.sent++
	if o.stale {
		t.stale++
	}
	if o.failure == nil {
		t.worst = max(t.worst, o.took)
	}
	switch {
	case o.failure != nil:
		t.unanswered++
	case o.wrong != nil:
		t.wrong++
	case o.cancelled:
		t.cancelled++
	case o.data:
		t.data++
	default:
		t.addCode(o.code, 1)
	}
}

func (t *tally) addCode(code string, n int) {
	if t.codes == nil {
		t.codes = map[string]int{}
	}
	t.codes[code] += n
}

// tally counts the run's requests but for those that may be refused without a fault. recovery is how long
// after the repair the last request began that was not healthy.
func (r run) tally() (t tally, recovery time.Duration) {
	for _, o := range r.outcomes {
		if !o.healthy() {
			recovery = max(recovery, o.begun.Sub(r.repaired))
		}
		if o.want == "" || o.failure != nil {
			t.add(o)
		} else {
			t.worst = max(t.worst, o.took)
		}
	}
	return t, recovery
}

// row is the run as a line of the table.
func (r run) row() string {
	t, recovery := r.tally()
	return fmt.Sprintf("| %s | %d | %d | %d | %s | %d | %s | %s | %d → %d | %d → %d | %d |\n", r.name, t.sent, t.data, t.stale, counts(t.codes), t.unanswered,
		milliseconds(t.worst), milliseconds(recovery), r.before.goroutines, r.after.goroutines, r.before.memory, r.after.memory, r.peak)
}

func counts(codes map[string]int) string {
	if len(codes) == 0 {
		return "0"
	}
	var all []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		all = append(all, fmt.Sprintf("%d `%s`", codes[code], code))
	}
	return strings.Join(all, ", ")
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// inPage matches the table in docs/faults.md and the marks around it.
func inPage() *regexp.Regexp {
	return regexp.MustCompile(`(?s)(<!-- faults -->\n)(.*?)(<!-- end of faults -->\n)`)
}

const pagePath = "../../docs/faults.md"

// writePage puts the table between its marks.
func writePage(t *testing.T, table string) {
	t.Helper()
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	parts := inPage().FindSubmatchIndex(page)
	if parts == nil {
		t.Fatal("docs/faults.md has no marks around the table")
	}
	text := string(page[:parts[4]]) + table + string(page[parts[5]:])
	if err := os.WriteFile(pagePath, []byte(text), 0o644); err != nil { //nolint:gosec // a public file
		t.Fatal(err)
	}
}

// TestPageHasEveryFault compares the rows of docs/faults.md with the faults, but not their figures.
func TestPageHasEveryFault(t *testing.T) {
	if *update { // TestFaults writes it
		return
	}
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, f := range faults() {
		want = append(want, f.name)
	}
	if parts := inPage().FindSubmatch(page); parts != nil {
		for _, line := range strings.Split(strings.TrimPrefix(string(parts[2]), tableHead), "\n") {
			if cells := strings.Split(line, " | "); len(cells) > 1 {
				got = append(got, strings.TrimPrefix(cells[0], "| "))
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/faults.md has the faults\n%s\nwant\n%s\nwrite them with: make faults UPDATE=1", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

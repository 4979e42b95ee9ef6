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

const tableHead = "| Fault | Requests | Data | of it stale | Errors | Unanswered | Worst latency | Well again after | Goroutines | Memory, MiB | at its peak |\n" +
	"|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|\n"

// tally is what became of some requests.
type tally struct {
	sent, data, stale, left, lost, wrong int
	codes                                map[string]int
	worst                                time.Duration // of those that were answered
}

func (t *tally) add(o outcome) {
	t.sent++
	if o.stale {
		t.stale++
	}
	if o.lost == nil {
		t.worst = max(t.worst, o.took)
	}
	switch {
	case o.lost != nil:
		t.lost++
	case o.wrong != nil:
		t.wrong++
	case o.left:
		t.left++
	case o.data:
		t.data++
	default:
		t.code(o.code, 1)
	}
}

func (t *tally) code(code string, n int) {
	if t.codes == nil {
		t.codes = map[string]int{}
	}
	t.codes[code] += n
}

// tally counts the run's requests, without those whose refusal is no error that the fault causes.
// well is how long after the repair a request was begun that still failed.
func (r run) tally() (t tally, well time.Duration) {
	for _, o := range r.outcomes {
		if !o.well() {
			well = max(well, o.begun.Sub(r.mended))
		}
		if o.want == "" || o.lost != nil {
			t.add(o)
		} else {
			t.worst = max(t.worst, o.took)
		}
	}
	return t, well
}

// row is the run as a line of the table. Requests for another's code are checked and not counted,
// unless there was no answer.
func (r run) row() string {
	t, well := r.tally()
	return fmt.Sprintf("| %s | %d | %d | %d | %s | %d | %s | %s | %d → %d | %d → %d | %d |\n", r.name, t.sent, t.data, t.stale, counts(t.codes), t.lost,
		milliseconds(t.worst), milliseconds(well), r.before.goroutines, r.after.goroutines, r.before.memory, r.after.memory, r.peak)
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

// inPage finds the table in docs/faults.md, and what is between its marks.
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
		t.Fatal("docs/faults.md has no place for the table")
	}
	text := string(page[:parts[4]]) + table + string(page[parts[5]:])
	if err := os.WriteFile(pagePath, []byte(text), 0o644); err != nil { //nolint:gosec // a public file
		t.Fatal(err)
	}
}

// TestPageHasEveryFault: the table of docs/faults.md is of these rows. Its figures are not compared.
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

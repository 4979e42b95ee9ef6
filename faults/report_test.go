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

// row is the run as a line of the table. Requests for another's code are checked and not counted,
// unless there was no answer: the refusal is no error that the fault causes.
func (r run) row() string {
	var sent, data, stale, lost int
	codes := map[string]int{}
	var worst, well time.Duration
	for _, o := range r.outcomes {
		if o.lost == nil {
			worst = max(worst, o.took)
		}
		if !o.well() {
			well = max(well, o.begun.Sub(r.mended))
		}
		switch {
		case o.lost != nil:
			lost++
		case o.foreign:
			continue
		case o.data:
			data++
		default:
			codes[o.code]++
		}
		sent++
		if o.stale {
			stale++
		}
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %s | %d | %s | %s | %s | %s | %d |\n", r.name, sent, data, stale, counts(codes), lost,
		milliseconds(worst), milliseconds(well), change(r.goroutines), change(r.memory), r.peak)
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

func change(n [2]int) string { return fmt.Sprintf("%d → %d", n[0], n[1]) }

// inPage finds the table in docs/faults.md, and what is between its marks.
func inPage() *regexp.Regexp {
	return regexp.MustCompile(`(?s)(<!-- faults -->\n)(.*?)(<!-- end of faults -->\n)`)
}

const pagePath = "../docs/faults.md"

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

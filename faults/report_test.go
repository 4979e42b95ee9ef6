package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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

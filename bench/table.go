package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// tables are all that was measured.
type tables struct {
	rows   []result
	memory []footprint
	steady []sample
}

// met tells whether no goal and no budget was missed.
func (t tables) met() bool {
	return !slices.ContainsFunc(t.rows, result.missed) && !slices.ContainsFunc(t.memory, footprint.missed)
}

func (r result) missed() bool { return r.goal > 0 && median(r.ratios()) > r.goal }

func (f footprint) missed() bool { return f.peak > f.budget() }

// ratios are those of the rounds, sorted.
func (r result) ratios() (all []float64) {
	for i := range r.service {
		all = append(all, r.service[i].perThousand()/r.bare[i].perThousand())
	}
	slices.Sort(all)
	return all
}

// String is the tables in Markdown.
func (t tables) String() string {
	var b strings.Builder
	if len(t.rows) > 0 {
		b.WriteString("| Workload | Goal | CPU ms per 1,000 requests | Bare handler | Ratio (lowest to highest) | Requests/s | p50 ms | p99 ms | Peak MiB | Calls |\n")
		b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	}
	for _, r := range t.rows {
		b.WriteString(r.row())
	}
	if len(t.memory) > 0 {
		b.WriteString("\n| Open connections | Peak MiB | Budget |\n|---|---|---|\n")
	}
	for _, f := range t.memory {
		fmt.Fprintf(&b, "| %d | %d%s | %d |\n", f.conns, f.peak>>20, missed(f.missed()), f.budget()>>20)
	}
	if n := len(t.steady); n > 0 {
		b.WriteString("\n| One process, hot id, full query | CPU ms per 1,000 requests | Requests/s |\n|---|---|---|\n")
		fmt.Fprintf(&b, "| first fifth | %s |\n| last fifth | %s |\n", t.steady[0].cells(), t.steady[n-1].cells())
	}
	return b.String()
}

func (r result) row() string {
	goal := "none"
	if r.goal > 0 {
		goal = fmt.Sprint(r.goal)
	}
	var latency histogram
	for _, s := range r.service {
		latency.merge(&s.Latency)
	}
	ratios := r.ratios()
	return fmt.Sprintf("| %s | %s | %.1f | %.1f | %.2f%s (%.2f to %.2f) | %.0f | %s | %s | %d | %d |\n",
		r.name, goal, medianOf(r.service, sample.perThousand), medianOf(r.bare, sample.perThousand),
		median(ratios), missed(r.missed()), ratios[0], ratios[len(ratios)-1],
		medianOf(r.service, sample.perSecond), ms(latency.quantile(0.5)), ms(latency.quantile(0.99)), r.peak>>20, r.calls)
}

func missed(yes bool) string {
	if yes {
		return " missed"
	}
	return ""
}

func (s sample) cells() string { return fmt.Sprintf("%.1f | %.0f", s.perThousand(), s.perSecond()) }

func (s sample) perSecond() float64 { return float64(s.Requests) / s.Took.Seconds() }

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

func medianOf(samples []sample, of func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return median(values)
}

// median is that of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

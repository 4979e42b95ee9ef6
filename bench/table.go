package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// tables hold all measurements.
type tables struct {
	rows   []result
	memory []footprint
}

// met reports whether every goal and budget was met.
func (t tables) met() bool {
	return !slices.ContainsFunc(t.rows, result.missed) && !slices.ContainsFunc(t.memory, footprint.missed)
}

func (r result) missed() bool { return r.goal > 0 && median(r.ratios()) > r.goal }

func (f footprint) missed() bool { return f.peak > f.budget() }

// ratio is of the CPU of a round.
func (r result) ratio(i int) float64 { return r.service[i].perThousand() / r.baseline[i].perThousand() }

// ratios returns the ratios of all rounds, sorted.
func (r result) ratios() (all []float64) {
	for i := range r.service {
		all = append(all, r.ratio(i))
	}
	slices.Sort(all)
	return all
}

// String returns the tables in Markdown.
func (t tables) String() string {
	var b strings.Builder
	if len(t.rows) > 0 {
		b.WriteString("| Workload | Goal | CPU ms per 1,000 requests | Baseline | Ratio (middle half) | Late / early | Requests/s | p50 ms | p99 ms | Peak MiB | Calls |\n")
		b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
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
	return b.String()
}

func (r result) row() string {
	latency := histogram{}
	for _, s := range r.service {
		latency.merge(s.Latency)
	}
	ratios, part := r.ratios(), (len(r.service)+4)/5
	return fmt.Sprintf("| %s | %s | %.1f | %.1f | %.2f%s (%.2f to %.2f) | %.2f | %.0f | %s | %s | %d | %d |\n",
		r.name, goal(r.goal), medianOf(r.service, sample.perThousand), medianOf(r.baseline, sample.perThousand),
		median(ratios), missed(r.missed()), ratios[len(ratios)/4], ratios[len(ratios)-1-len(ratios)/4],
		medianOf(r.service[len(r.service)-part:], sample.perThousand)/medianOf(r.service[:part], sample.perThousand),
		medianOf(r.service, sample.perSecond), ms(latency.quantile(0.5)), ms(latency.quantile(0.99)), r.peak>>20, r.calls)
}

func goal(ratio float64) string {
	if ratio == 0 {
		return "none"
	}
	return fmt.Sprint(ratio)
}

func missed(yes bool) string {
	if yes {
		return " missed"
	}
	return ""
}

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

// median returns the median of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// histogram counts durations. Key i counts those from 2^(i/16) nanoseconds to 4.4 % more.
type histogram map[int]int

func (h histogram) add(d time.Duration) { h[int(16*math.Log2(float64(d)))]++ }

func (h histogram) merge(other histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// quantile returns the duration that a part q of all durations are below.
func (h histogram) quantile(q float64) time.Duration {
	total := 0
	for _, n := range h {
		total += n
	}
	below := int(q * float64(total))
	for _, i := range slices.Sorted(maps.Keys(h)) {
		if below -= h[i]; below < 0 {
			return time.Duration(math.Exp2(float64(i+1) / 16))
		}
	}
	return 0
}

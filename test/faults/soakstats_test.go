//go:build linux

package faults

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// soakStats sums up a soak.
type soakStats struct {
	start       time.Time
	before      footprint
	all         tally
	byKind      map[string]*tally
	byTransport map[transport]*tally
	byFault     map[string]*faultStats
	samples     []sample
	peak        int // of memory, in MiB
	stalled     int // faults during which the machine was
	calls       upstreamtest.Counts
}

// faultStats sums up all occurrences of a fault.
type faultStats struct {
	tally
	times    int
	recovery time.Duration
}

// sample is the footprint without traffic at a time since the start.
type sample struct {
	at time.Duration
	footprint
}

func newSoakStats() soakStats {
	return soakStats{start: time.Now(), byKind: map[string]*tally{}, byTransport: map[transport]*tally{}, byFault: map[string]*faultStats{}}
}

func (s *soakStats) add(r run) {
	for _, o := range r.outcomes {
		s.all.add(o)
		entryOf(s.byKind, o.kind).add(o)
		entryOf(s.byTransport, o.transport).add(o)
	}
	f := entryOf(s.byFault, r.name)
	t, recovery := r.tally()
	f.merge(t)
	f.recovery = max(f.recovery, recovery)
	f.times++
	s.peak = max(s.peak, r.peak)
	s.samples = append(s.samples, sample{time.Since(s.start), r.after})
}

// merge adds another tally.
func (t *tally) merge(more tally) {
	t.sent, t.data, t.stale = t.sent+more.sent, t.data+more.data, t.stale+more.stale
	t.cancelled, t.unanswered, t.wrong = t.cancelled+more.cancelled, t.unanswered+more.unanswered, t.wrong+more.wrong
	t.worst = max(t.worst, more.worst)
	for code, n := range more.codes {
		t.addCode(code, n)
	}
}

// entryOf returns the entry of a map, which it creates if there is none.
func entryOf[K comparable, V any](m map[K]*V, key K) *V {
	if m[key] == nil {
		m[key] = new(V)
	}
	return m[key]
}

func (s *soakStats) progress() string {
	last := s.samples[len(s.samples)-1]
	return fmt.Sprintf("%s: %d faults, %d requests, %d stale, errors: %s; wrong: %d, unanswered: %d; %d goroutines, %d MiB",
		last.at.Round(time.Second), len(s.samples), s.all.sent, s.all.stale, counts(s.all.codes), s.all.wrong, s.all.unanswered, last.goroutines, last.memory)
}

// report returns the tables of docs/faults.md.
func (s *soakStats) report() string {
	if len(s.samples) == 0 {
		return "nothing was broken\n"
	}
	out := &strings.Builder{}
	fmt.Fprint(out, "\n| Requests | Sent | Data | Stale | Errors | Cancelled | Wrong | Unanswered | Worst latency |\n|---|---:|---:|---:|---|---:|---:|---:|---:|\n")
	line := func(name string, t *tally) {
		fmt.Fprintf(out, "| %s | %d | %d | %d | %s | %d | %d | %d | %s |\n", name, t.sent, t.data, t.stale, counts(t.codes), t.cancelled, t.wrong, t.unanswered, milliseconds(t.worst))
	}
	for _, kind := range slices.Sorted(maps.Keys(s.byKind)) {
		line(kind, s.byKind[kind])
	}
	for _, way := range slices.Sorted(maps.Keys(s.byTransport)) {
		line("all by "+string(way), s.byTransport[way])
	}
	line("all", &s.all)

	fmt.Fprint(out, "\n| Fault | Times | Requests | Data | Stale | Errors | Worst latency | Recovered after |\n|---|---:|---:|---:|---:|---|---:|---:|\n")
	for _, name := range slices.Sorted(maps.Keys(s.byFault)) {
		f := s.byFault[name]
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %s | %s | %s |\n", name, f.times, f.sent, f.data, f.stale, counts(f.codes), milliseconds(f.worst), milliseconds(f.recovery))
	}
	last := s.samples[len(s.samples)-1]
	fmt.Fprintf(out, "\n%s, %d faults, during %d of which the machine was stalled\n", last.at.Round(time.Second), len(s.samples), s.stalled)
	fmt.Fprintf(out, "calls to authentik: %d of codes, %d of lists, %d deletions, for %d requests\n", s.calls.Retrieve, s.calls.List, s.calls.Delete, s.all.sent)
	fmt.Fprintf(out, "memory, MiB: %d → %d, %d at its peak; an hour: %s\n", s.before.memory, last.memory, s.peak, s.memorySlope())
	fmt.Fprintf(out, "goroutines: %d → %d; an hour: %s\n", s.before.goroutines, last.goroutines, s.goroutineSlope())
	return out.String()
}

func (s *soakStats) memorySlope() slope {
	return s.slope(func(h footprint) int { return h.memory })
}

func (s *soakStats) goroutineSlope() slope {
	return s.slope(func(h footprint) int { return h.goroutines })
}

// slope leaves out the first quarter of the samples, in which the caches fill.
func (s *soakStats) slope(of func(footprint) int) slope {
	var hours, values []float64
	for _, s := range s.samples[len(s.samples)/4:] {
		hours = append(hours, s.at.Hours())
		values = append(values, float64(of(s.footprint)))
	}
	return regress(hours, values)
}

// slope is a growth per hour and its standard deviation.
type slope struct{ perHour, deviation float64 }

func (s slope) String() string { return fmt.Sprintf("%+.1f ± %.1f", s.perHour, s.deviation) }

// regress fits a line by least squares. The deviation of fewer than three points is infinite.
func regress(x, y []float64) slope {
	n := float64(len(x))
	var meanX, meanY, xx, xy, rest float64
	for i := range x {
		meanX, meanY = meanX+x[i]/n, meanY+y[i]/n
	}
	for i := range x {
		xx += (x[i] - meanX) * (x[i] - meanX)
		xy += (x[i] - meanX) * (y[i] - meanY)
	}
	s := slope{xy / xx, math.Inf(1)}
	for i := range x {
		d := y[i] - meanY - s.perHour*(x[i]-meanX)
		rest += d * d
	}
	if n > 2 {
		s.deviation = math.Sqrt(rest / (n - 2) / xx)
	}
	return s
}

func TestRegress(t *testing.T) {
	tests := []struct {
		name string
		x, y []float64
		want slope
	}{
		{"a line", []float64{1, 2, 3, 4}, []float64{5, 7, 9, 11}, slope{2, 0}},
		{"level", []float64{1, 2, 3}, []float64{4, 4, 4}, slope{0, 0}},
		{"noise", []float64{0, 1, 2, 3}, []float64{0, 2, 0, 2}, slope{0.4, math.Sqrt(3.2 / 2 / 5)}},
		{"two points", []float64{0, 1}, []float64{1, 4}, slope{3, math.Inf(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := regress(tt.x, tt.y)
			if math.Abs(got.perHour-tt.want.perHour) > 1e-9 || got.deviation != tt.want.deviation && !(math.Abs(got.deviation-tt.want.deviation) < 1e-9) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

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

// figures are what came of a soak.
type figures struct {
	start      time.Time
	before     holding
	all        tally
	kinds      map[string]*tally
	ways       map[way]*tally
	broken     map[string]*breakage
	samples    []sample
	peak       int // of memory, in MiB
	stoodStill int // faults during which the machine did
	calls      upstreamtest.Counts
}

// breakage is what came of one kind of fault, each time that it did.
type breakage struct {
	tally
	times int
	well  time.Duration
}

// sample is what the service held at a time since the start, while nobody asked.
type sample struct {
	at time.Duration
	holding
}

func newFigures() figures {
	return figures{start: time.Now(), kinds: map[string]*tally{}, ways: map[way]*tally{}, broken: map[string]*breakage{}}
}

func (f *figures) add(r run) {
	for _, o := range r.outcomes {
		f.all.add(o)
		in(f.kinds, o.kind).add(o)
		in(f.ways, o.way).add(o)
	}
	b := in(f.broken, r.name)
	t, well := r.tally()
	b.merge(t)
	b.well = max(b.well, well)
	b.times++
	f.peak = max(f.peak, r.peak)
	f.samples = append(f.samples, sample{time.Since(f.start), r.after})
}

// merge adds what became of others.
func (t *tally) merge(more tally) {
	t.sent, t.data, t.stale = t.sent+more.sent, t.data+more.data, t.stale+more.stale
	t.left, t.lost, t.wrong = t.left+more.left, t.lost+more.lost, t.wrong+more.wrong
	t.worst = max(t.worst, more.worst)
	for code, n := range more.codes {
		t.code(code, n)
	}
}

// in is what a map has at key; if there is nothing yet, something empty is put there.
func in[K comparable, V any](m map[K]*V, key K) *V {
	if m[key] == nil {
		m[key] = new(V)
	}
	return m[key]
}

func (f *figures) progress() string {
	last := f.samples[len(f.samples)-1]
	return fmt.Sprintf("%s: %d faults, %d requests, %d stale, errors: %s; wrong: %d, unanswered: %d; %d goroutines, %d MiB",
		last.at.Round(time.Second), len(f.samples), f.all.sent, f.all.stale, counts(f.all.codes), f.all.wrong, f.all.lost, last.goroutines, last.memory)
}

// report has the tables of docs/faults.md.
func (f *figures) report() string {
	if len(f.samples) == 0 {
		return "nothing was broken\n"
	}
	out := &strings.Builder{}
	fmt.Fprint(out, "\n| Requests | Sent | Data | of it stale | Errors | Left | Wrong | Unanswered | Worst latency |\n|---|---:|---:|---:|---|---:|---:|---:|---:|\n")
	line := func(name string, t *tally) {
		fmt.Fprintf(out, "| %s | %d | %d | %d | %s | %d | %d | %d | %s |\n", name, t.sent, t.data, t.stale, counts(t.codes), t.left, t.wrong, t.lost, milliseconds(t.worst))
	}
	for _, kind := range slices.Sorted(maps.Keys(f.kinds)) {
		line(kind, f.kinds[kind])
	}
	for _, way := range slices.Sorted(maps.Keys(f.ways)) {
		line("all by "+string(way), f.ways[way])
	}
	line("all", &f.all)

	fmt.Fprint(out, "\n| Broken | Times | Requests | Data | of it stale | Errors | Worst latency | Well again after |\n|---|---:|---:|---:|---:|---|---:|---:|\n")
	for _, name := range slices.Sorted(maps.Keys(f.broken)) {
		b := f.broken[name]
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %s | %s | %s |\n", name, b.times, b.sent, b.data, b.stale, counts(b.codes), milliseconds(b.worst), milliseconds(b.well))
	}
	last := f.samples[len(f.samples)-1]
	fmt.Fprintf(out, "\n%s, %d faults, during %d of which the machine stood still\n", last.at.Round(time.Second), len(f.samples), f.stoodStill)
	fmt.Fprintf(out, "calls to authentik: %d of codes, %d of lists, %d deletions, for %d requests\n", f.calls.Retrieve, f.calls.List, f.calls.Delete, f.all.sent)
	fmt.Fprintf(out, "memory, MiB: %d → %d, %d at its peak; an hour: %s\n", f.before.memory, last.memory, f.peak, f.memorySlope())
	fmt.Fprintf(out, "goroutines: %d → %d; an hour: %s\n", f.before.goroutines, last.goroutines, f.goroutineSlope())
	return out.String()
}

func (f *figures) memorySlope() slope {
	return f.slope(func(h holding) int { return h.memory })
}

func (f *figures) goroutineSlope() slope {
	return f.slope(func(h holding) int { return h.goroutines })
}

// slope is of all samples but the first quarter, in which the caches fill.
func (f *figures) slope(of func(holding) int) slope {
	var hours, values []float64
	for _, s := range f.samples[len(f.samples)/4:] {
		hours = append(hours, s.at.Hours())
		values = append(values, float64(of(s.holding)))
	}
	return regress(hours, values)
}

// slope is by how much something grows in an hour, and the standard deviation of that.
type slope struct{ perHour, deviation float64 }

func (s slope) String() string { return fmt.Sprintf("%+.1f ± %.1f", s.perHour, s.deviation) }

// regress fits a line by least squares. Fewer than three points have no deviation.
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

//go:build linux

package attacks

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var full = flag.Bool("full", false, "send many of each attack at a time and print the table")

// row is one attack.
type row struct {
	name     string
	send     func(io.Writer) error
	want     string        // the response, or alternatives separated by |
	maxTime  time.Duration // 0 means defaultTime
	maxCalls int           // of authentik
	all      bool          // every response on the connection counts, not only the first
	maxSize  int           // of a response, 0 means defaultSize
}

// The limits of an attack are generous, so that a busy machine does not fail the test: an attack that
// succeeds takes minutes, or gigabytes.
const (
	defaultTime = 3 * time.Second
	defaultSize = 16 << 10
	// maxGrowth bounds the growth of the peak resident set.
	maxGrowth = 96 << 20
	// atOnce is how many of each attack make attacks sends at a time, times is how often.
	atOnce, times = 16, 4
)

func allRows() []row {
	return slices.Concat(httpRows(), bodyRows(), documentRows(), idRows(), upstreamRows())
}

// result is the outcome of a row.
type result struct {
	row
	answers map[string]int
	worst   time.Duration
	grew    int
	calls   int
}

func TestAttacks(t *testing.T) {
	h := newHarness(t)
	h.checkAlive(t, false)
	names := map[string]bool{}
	var results []result
	for _, r := range allRows() {
		if names[r.name] {
			t.Fatalf("two rows are named %s", r.name)
		}
		names[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			result := h.attack(t, r)
			results = append(results, result)
			h.checkAlive(t, r.maxCalls > 0)
		})
	}
	if *full {
		fmt.Print(render(results))
	}
}

// attack sends a row's attack and checks its outcome.
func (h *harness) attack(t *testing.T, r row) result {
	t.Helper()
	n, rounds := 1, 1
	if *full {
		n, rounds = atOnce, times
	}
	h.authentik.ResetCalls()
	h.resetPeak(t)
	before, _ := h.Memory()
	out := result{row: r, answers: map[string]int{}}
	for range rounds {
		var mu sync.Mutex
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				start := time.Now()
				answer, body := h.exchange(r.send, r.all)
				took := time.Since(start)
				mu.Lock()
				defer mu.Unlock()
				out.answers[answer]++
				out.worst = max(out.worst, took)
				if size := max(r.maxSize, defaultSize); len(body) > size {
					t.Errorf("an answer has %d bytes, may have %d", len(body), size)
				}
			})
		}
		all.Wait()
	}
	_, peak := h.Memory()
	out.grew = max(peak-before, 0)
	out.calls = h.authentik.Calls().Total
	for answer := range out.answers {
		if !expected(r.want, answer) {
			t.Errorf("the answer is %s, want %s", answer, r.want)
		}
	}
	may := r.maxTime
	if may == 0 {
		may = defaultTime
	}
	if *full {
		may *= 3 // many at a time wait for each other
	}
	if out.worst > may {
		t.Errorf("it took %s, may take %s", out.worst, may)
	}
	if out.grew > maxGrowth {
		t.Errorf("memory grew by %d MiB, may by %d", out.grew>>20, maxGrowth>>20)
	}
	if most := r.maxCalls * n * rounds; out.calls > most {
		t.Errorf("authentik was called %d times, may be %d", out.calls, most)
	}
	return out
}

func expected(want, answer string) bool {
	for alternative := range strings.SplitSeq(want, "|") {
		if answer == alternative {
			return true
		}
	}
	return false
}

// render returns the table.
func render(results []result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ATTACK\tANSWERS\tWORST\tMEMORY\tCALLS")
	for _, r := range results {
		var answers []string
		for answer, n := range r.answers {
			answers = append(answers, fmt.Sprintf("%s (%d)", answer, n))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d ms\t+%d MiB\t%d\n", r.name, strings.Join(answers, "; "), r.worst.Milliseconds(), r.grew>>20, r.calls)
	}
	_ = w.Flush()
	return b.String()
}

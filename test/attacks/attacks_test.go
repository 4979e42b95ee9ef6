//go:build linux

package attacks

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var full = flag.Bool("full", false, "send many of each attack at a time and print the table")

// row is one attack.
type row struct {
	name  string
	send  func(io.Writer) error
	want  string        // the answer, or several with | between
	time  time.Duration // it may take; 0 means usual
	calls int           // of authentik it may cause
	all   bool          // every answer on the connection counts, not only the first
	size  int           // bytes of an answer; 0 means usual
}

// What an attack may cost, unless its row says otherwise. A busy machine must not fail the test: an
// attack that works takes minutes, or gigabytes.
const (
	usualTime = 3 * time.Second
	usualSize = 16 << 10
	// mayGrow is by how many bytes the resident set may be larger, at any moment, than before.
	mayGrow = 96 << 20
	// atOnce and times are how many of each make attacks sends.
	atOnce, times = 16, 4
)

// result is what came of a row.
type result struct {
	row
	answers map[string]int
	worst   time.Duration
	grew    int
	calls   int
}

func TestAttacks(t *testing.T) {
	a := newArena(t)
	a.stillAnswers(t, false)
	rows := table()
	names := map[string]bool{}
	var results []result
	for _, r := range rows {
		if names[r.name] {
			t.Fatalf("two rows are named %s", r.name)
		}
		names[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			result := a.suffer(t, r)
			results = append(results, result)
			a.stillAnswers(t, r.calls > 0)
		})
	}
	if *full {
		fmt.Print(render(results))
	}
}

// suffer sends an attack and judges what comes of it.
func (a *arena) suffer(t *testing.T, r row) result {
	t.Helper()
	n, rounds := 1, 1
	if *full {
		n, rounds = atOnce, times
	}
	a.authentik.ResetCalls()
	a.forgetPeak(t)
	before, _ := a.Memory()
	out := result{row: r, answers: map[string]int{}}
	for range rounds {
		var mu sync.Mutex
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				start := time.Now()
				answer, body := a.answer(r.send, r.all)
				took := time.Since(start)
				mu.Lock()
				defer mu.Unlock()
				out.answers[answer]++
				out.worst = max(out.worst, took)
				if size := max(r.size, usualSize); len(body) > size {
					t.Errorf("an answer has %d bytes, may have %d", len(body), size)
				}
			})
		}
		all.Wait()
	}
	_, peak := a.Memory()
	out.grew = max(peak-before, 0)
	out.calls = a.authentik.Calls().Total
	for answer := range out.answers {
		if !expected(r.want, answer) {
			t.Errorf("the answer is %s, want %s", answer, r.want)
		}
	}
	may := r.time
	if may == 0 {
		may = usualTime
	}
	if *full {
		may *= 3 // of many at a time each waits for the others
	}
	if out.worst > may {
		t.Errorf("it took %s, may take %s", out.worst, may)
	}
	if out.grew > mayGrow {
		t.Errorf("memory grew by %d MiB, may by %d", out.grew>>20, mayGrow>>20)
	}
	if most := r.calls * n * rounds; out.calls > most {
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

// render prints the table, for people.
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

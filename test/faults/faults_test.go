//go:build linux

package faults

import (
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var (
	full   = flag.Bool("full", false, "let each row take its time")
	update = flag.Bool("update", false, "write the table into docs/faults.md")
)

// plan is how long a row's traffic runs before, during and after the fault.
type plan struct {
	before, during, after time.Duration
	// clean is how long all must be well again at the end, and patience how long after the fault
	// that may be waited for.
	clean, patience time.Duration
}

func thePlan() plan {
	if *full {
		return plan{before: 2 * time.Second, during: 5 * time.Second, after: 3 * time.Second, clean: time.Second, patience: 20 * time.Second}
	}
	return plan{before: 600 * time.Millisecond, during: 900 * time.Millisecond, after: 600 * time.Millisecond, clean: 500 * time.Millisecond, patience: 20 * time.Second}
}

// TestFaults runs the table, one row after the other: two at once would share the machine, and
// neither's figures would be its own.
func TestFaults(t *testing.T) {
	if *update && !*full {
		t.Fatal("only figures of -full are for docs/faults.md")
	}
	binary := build(t)
	table := &strings.Builder{}
	emit := func(text string) {
		table.WriteString(text)
		fmt.Print(text) // as it grows: the whole takes minutes
	}
	emit(tableHead)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			r := play(t, binary, f, thePlan())
			// Where the machine stood still its answers are late whatever the service does. A service
			// that makes it stand still does so every time.
			for again := 0; again < 3 && r.behind > tolerated && len(r.problems()) > 0; again++ {
				t.Log("the row is played again")
				r = play(t, binary, f, thePlan())
			}
			emit(r.row())
			for _, problem := range r.problems() {
				t.Error(problem)
			}
		})
	}
	if *update && !t.Failed() {
		writePage(t, table.String())
	}
}

// tolerated is how far the test's own clock may be behind for its figures to be the service's.
const tolerated = 200 * time.Millisecond

// play runs one row.
func play(t *testing.T, binary string, f fault, p plan) run {
	t.Helper()
	s := newScene(t, binary, f, time.Now().Add(time.Second+p.before+p.during/2), 2)
	s.warmUp()
	r := s.suffer(f, p, s.held())
	if err := s.service.stop(); err != nil {
		t.Errorf("the service ended with: %v", err)
	}
	r.lines = s.service.lines()
	return r
}

// held is what the service holds while nobody asks, before anything breaks.
func (s *scene) held() (h holding) {
	s.t.Helper()
	h.goroutines = s.settle(0, math.MaxInt)
	h.memory, _ = s.service.memory()
	return h
}

// suffer lets the traffic run while something breaks and is mended. before is what the service may
// go back to hold.
func (s *scene) suffer(f fault, p plan, before holding) run {
	s.t.Helper()
	r := run{fault: f, clean: p.clean, secrets: s.traffic.secrets, before: before}
	s.traffic.start()
	s.usesRedis()
	wait(p.before)
	r.broken = time.Now()
	f.begin(s)
	wait(p.during)
	if f.end != nil {
		f.end(s)
	}
	r.mended = time.Now()
	wait(p.after)
	s.usesRedis()
	for !s.traffic.healthy(p.clean) && time.Since(r.mended) < p.patience {
		wait(50 * time.Millisecond)
	}
	r.stopped = time.Now()
	r.outcomes = s.traffic.stop()
	if r.behind = s.traffic.behind; r.behind > tolerated {
		s.t.Logf("the test's own clock was behind by %s: the latencies are not the service's alone", r.behind)
	}

	r.after.goroutines = s.settle(before.goroutines, before.goroutines+maxMoreGoroutines)
	r.after.memory, r.peak = s.service.memory()
	return r
}

// wait lets time pass. Time is what these tests are about: nothing else tells that a fault has
// lasted long enough.
func wait(d time.Duration) { <-time.After(d) }

// warmUp asks for each hot code once, so that what the service starts on its first request is there
// before anything is measured.
func (s *scene) warmUp() {
	s.t.Helper()
	for _, code := range s.traffic.fixture.hot {
		q := ask{caller: s.traffic.fixture.callers[2], code: code}.question()
		if o := s.traffic.send(q, time.Now()); !o.good() {
			s.t.Fatalf("before everything: %+v\n%s", o, s.service.tail())
		}
	}
	s.traffic.client.CloseIdleConnections()
}

// settle closes the connections that nobody uses and returns the number of goroutines: when it is
// down to want, or else when it is at most enough and does not change any more. If it stays above,
// those that do not end are shown.
func (s *scene) settle(want, enough int) int {
	s.t.Helper()
	const patience, still = 10 * time.Second, 500 * time.Millisecond
	start := time.Now()
	last, since := 0, start
	for {
		s.authentik.dropIdle()
		n, profile := s.service.goroutines()
		if n != last {
			last, since = n, time.Now()
		}
		switch {
		case n <= want, n <= enough && time.Since(since) > still:
			return n
		case time.Since(start) > patience:
			s.t.Logf("%d goroutines do not end:\n%s", n-want, profile)
			return n
		}
		wait(20 * time.Millisecond)
	}
}

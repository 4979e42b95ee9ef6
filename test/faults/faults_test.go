//go:build linux

package faults

import (
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/servicetest"
)

var (
	full   = flag.Bool("full", false, "let each row take its time")
	update = flag.Bool("update", false, "write the table into docs/faults.md")
)

// plan is how long a row's traffic runs before, during and after the fault.
type plan struct {
	before, during, after time.Duration
	clean                 time.Duration // how long every request must be healthy at the end
	patience              time.Duration // how long after the repair that may be waited for
}

func rowPlan() plan {
	if *full {
		return plan{before: 2 * time.Second, during: 5 * time.Second, after: 3 * time.Second, clean: time.Second, patience: 20 * time.Second}
	}
	return plan{before: 600 * time.Millisecond, during: 900 * time.Millisecond, after: 600 * time.Millisecond, clean: 500 * time.Millisecond, patience: 20 * time.Second}
}

// TestFaults runs the rows one after the other: two at once would slow each other down.
func TestFaults(t *testing.T) {
	servicetest.Long(t)
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
			r := runRow(t, binary, f, rowPlan())
			// On a stalled machine responses are late whatever the service does. A service that stalls
			// the machine does so every time.
			for retry := 0; retry < 3 && r.clockLag > maxClockLag && len(r.problems()) > 0; retry++ {
				t.Log("the row is run again")
				r = runRow(t, binary, f, rowPlan())
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

// maxClockLag is how late the test's own clock may be for latencies to be the service's.
const maxClockLag = 200 * time.Millisecond

func runRow(t *testing.T, binary string, f fault, p plan) run {
	t.Helper()
	h := newHarness(t, binary, f, time.Now().Add(time.Second+p.before+p.during/2), 2)
	h.warmUp()
	r := h.runFault(f, p, h.baseline())
	if err := h.service.stop(); err != nil {
		t.Errorf("the service ended with: %v", err)
	}
	r.lines = h.service.lines()
	return r
}

// baseline is what the idle service holds before anything breaks.
func (h *harness) baseline() (f footprint) {
	h.t.Helper()
	f.goroutines = h.settledGoroutines(0, math.MaxInt)
	f.memory, _ = h.service.memory()
	return f
}

// runFault breaks something and repairs it under traffic. The service has to return to the footprint
// before.
func (h *harness) runFault(f fault, p plan, before footprint) run {
	h.t.Helper()
	r := run{fault: f, clean: p.clean, secrets: h.traffic.secrets, before: before}
	h.traffic.start()
	h.waitForRedis()
	wait(p.before)
	r.broken = time.Now()
	f.begin(h)
	wait(p.during)
	if f.end != nil {
		f.end(h)
	}
	r.repaired = time.Now()
	wait(p.after)
	h.waitForRedis()
	for !h.traffic.healthy(p.clean) && time.Since(r.repaired) < p.patience {
		wait(50 * time.Millisecond)
	}
	r.stopped = time.Now()
	r.outcomes = h.traffic.stop()
	if r.clockLag = h.traffic.clockLag; r.clockLag > maxClockLag {
		h.t.Logf("the test's own clock was late by %s: the latencies are not the service's alone", r.clockLag)
	}

	r.after.goroutines = h.settledGoroutines(before.goroutines, before.goroutines+maxMoreGoroutines)
	r.after.memory, r.peak = h.service.memory()
	return r
}

// wait lets time pass: only time makes a fault last long enough.
func wait(d time.Duration) { <-time.After(d) }

// warmUp asks for each hot code once, so that the service has started all it needs before anything is
// measured.
func (h *harness) warmUp() {
	h.t.Helper()
	for _, code := range h.traffic.fixture.hot {
		q := lookup{caller: h.traffic.fixture.callers[2], code: code}.request()
		if o := h.traffic.send(q, time.Now()); !o.good() {
			h.t.Fatalf("before the traffic: %+v\n%s", o, h.service.tail())
		}
	}
	h.traffic.client.CloseIdleConnections()
}

// settledGoroutines closes idle connections and returns the number of goroutines once it is down to
// want, or at most enough and no longer changing. If it stays higher, the profile is logged.
func (h *harness) settledGoroutines(want, enough int) int {
	h.t.Helper()
	const patience, still = 10 * time.Second, 500 * time.Millisecond
	start := time.Now()
	last, since := 0, start
	for {
		h.authentik.dropIdle()
		n, profile := h.service.goroutines()
		if n != last {
			last, since = n, time.Now()
		}
		switch {
		case n <= want, n <= enough && time.Since(since) > still:
			return n
		case time.Since(start) > patience:
			h.t.Logf("%d goroutines do not end:\n%s", n-want, profile)
			return n
		}
		wait(20 * time.Millisecond)
	}
}

//go:build linux

package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxMoreGoroutines is for housekeeping by the clock: idle connections are closed on both sides
	// before goroutines are counted.
	maxMoreGoroutines = 3
	// maxMoreMemory, in MiB, is for some hundred codes in the cache. One leaked body of 256 MiB is far
	// more.
	maxMoreMemory = 64
	// maxPeak, in MiB, is the cache's 64, which these rows hardly use, and as much for everything else.
	// Large answers may take 16 together. Without that bound, 64 of them at once would take 256.
	maxPeak = 64 + 64
	// maxRedisLines is for changes of Redis's state. A line for each request would be far more.
	maxRedisLines = 8
	// maxExamples is how many of the same problem are reported.
	maxExamples = 3
)

// run is what happened in a row.
type run struct {
	fault
	outcomes []outcome

	broken, repaired, stopped time.Time     // stopped is when the traffic was
	clean                     time.Duration // all requests in the last part of the traffic must be healthy

	clockLag      time.Duration // the most that the test's own clock was late, on a busy machine
	before, after footprint
	peak          int // of memory, in MiB
	lines         []logLine
	secrets       []string
}

// footprint is what the service holds, memory in MiB.
type footprint struct{ goroutines, memory int }

// problems returns what the service did wrong.
func (r run) problems() []string { return append(r.timingProblems(), r.otherProblems()...) }

// timingProblems returns those problems that a stalled machine can cause.
func (r run) timingProblems() []string {
	all := r.violations(
		check{"wrong error", r.unexpectedCode},
		check{"slow response", r.slow},
		check{"not healthy before the fault", r.unhealthyBefore},
		check{"not healthy again", r.unhealthyAfter},
	)
	if len(r.codes) > 0 && !r.noticed() {
		all = append(all, "the fault had no effect: it did not happen")
	}
	return all
}

// otherProblems returns all other problems.
func (r run) otherProblems() []string {
	all := r.violations(
		check{"wrong response", func(o outcome) error { return o.wrong }},
		check{"no response", r.unanswered},
	)
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if more := r.after.goroutines - r.before.goroutines; more > maxMoreGoroutines {
		add("%d goroutines are left over", more)
	}
	if more := r.after.memory - r.before.memory; more > maxMoreMemory {
		add("%d MiB of memory are left over", more)
	}
	if r.peak > maxPeak {
		add("%d MiB of memory were in use at once", r.peak)
	}
	return append(all, r.logProblems()...)
}

// check is a rule for the outcomes of requests.
type check struct {
	name      string
	violation func(outcome) error // nil if the outcome obeys the rule
}

// violations returns the first few violations of each rule.
func (r run) violations(checks ...check) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, c := range checks {
		found := 0
		for _, o := range r.outcomes {
			if err := c.violation(o); err != nil {
				if found++; found <= maxExamples {
					add("%s: %s %s after the fault began, in %s: %v", c.name, o.kind, o.begun.Sub(r.broken), o.took, err)
				}
			}
		}
		if found > maxExamples {
			add("%s: %d times in all", c.name, found)
		}
	}
	return all
}

// unanswered allows no response only to requests that overlap the time in which the service was dead.
func (r run) unanswered(o outcome) error {
	if r.fatal && o.begun.Before(r.repaired) && o.begun.Add(o.took).After(r.broken) {
		return nil
	}
	return o.failure
}

func (r run) unexpectedCode(o outcome) error {
	if o.failure != nil || o.wrong != nil || o.good() || slices.Contains(r.codes, o.code) {
		return nil
	}
	return errors.New(o.code)
}

func (r run) slow(o outcome) error {
	if o.failure != nil || o.took <= r.maxLatency+o.extraTime+r.clockLag {
		return nil
	}
	return fmt.Errorf("over %s, and the test's own clock was late by no more than %s", r.maxLatency, r.clockLag)
}

func (r run) unhealthyBefore(o outcome) error {
	if o.healthy() || !o.begun.Add(o.took).Before(r.broken) {
		return nil
	}
	return fmt.Errorf("code %q, stale %t, failure: %v", o.code, o.stale, o.failure)
}

func (r run) unhealthyAfter(o outcome) error {
	if o.healthy() || o.begun.Before(r.stopped.Add(-r.clean)) {
		return nil
	}
	return fmt.Errorf("code %q, stale %t, failure: %v", o.code, o.stale, o.failure)
}

// noticed reports whether a client noticed the fault: by an error, a stale response or a slow one.
func (r run) noticed() bool {
	return slices.ContainsFunc(r.outcomes, func(o outcome) bool {
		return !o.good() || o.stale || o.took > time.Second
	})
}

func (r run) logProblems() (all []string) {
	redisLines, last := 0, ""
	for _, line := range r.lines {
		switch {
		case line.plain:
			all = append(all, "a line of log that is not JSON: "+line.text)
		case strings.Contains(line.text, "panic"):
			all = append(all, "a panic: "+line.text)
		case strings.Contains(line.Msg, "Redis") && !strings.Contains(line.Msg, "revoked"): // a revocation has a line of its own
			redisLines, last = redisLines+1, line.text
		}
		for _, secret := range append([]string{"@example.com"}, r.secrets...) {
			if strings.Contains(line.text, secret) {
				all = append(all, fmt.Sprintf("%q is in the log: %s", secret, line.text))
			}
		}
	}
	if redisLines > maxRedisLines {
		all = append(all, fmt.Sprintf("%d lines of log about Redis, the last: %s", redisLines, last))
	}
	if r.mustLog && redisLines == 0 {
		all = append(all, "the log does not say that Redis cannot be used")
	}
	if len(all) > 2*maxExamples {
		all = append(all[:2*maxExamples], fmt.Sprintf("and %d more", len(all)-2*maxExamples))
	}
	return all
}

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
	// maxMoreGoroutines: idle connections are closed on both sides when goroutines are counted, so
	// what is left over can only be housekeeping that runs by the clock.
	maxMoreGoroutines = 3
	// maxMoreMemory is in MiB: what is in use after the row beyond what was before. The cache may
	// keep some hundred codes; one body of 256 MiB that is held would be far more.
	maxMoreMemory = 64
	// maxPeak is in MiB: the cache's 64, of which these rows fill next to nothing, and as much again
	// for everything else. Large answers may take 16 together; 64 at once, each up to its cap, would
	// take 256 and their garbage, and read whole 16 GiB.
	maxPeak = 64 + 64
	// maxRedisLines: what becomes of Redis is worth a line when it changes, not for each request.
	maxRedisLines = 8
	// maxExamples of what went wrong; there may be thousands.
	maxExamples = 3
)

// run is what happened in a row.
type run struct {
	fault
	outcomes []outcome
	// broken and mended are when the fault began and had ended, clean how long before the traffic's
	// end everything had to be well again.
	broken, mended, stopped time.Time
	clean                   time.Duration
	// behind is the most that the test's own clock was: the machine had no time for it then.
	behind        time.Duration
	before, after holding
	peak          int // of memory, in MiB
	lines         []logLine
	secrets       []string
}

// holding is what the service holds, memory in MiB.
type holding struct{ goroutines, memory int }

// problems are what must not be.
func (r run) problems() []string { return append(r.untimely(), r.unexcused()...) }

// untimely are the problems of which a machine that stands still can be the cause.
func (r run) untimely() []string {
	all := r.found(
		offence{"wrong error", r.badCode},
		offence{"slow answer", r.slow},
		offence{"not well before the fault", r.early},
		offence{"not well again", r.late},
	)
	if len(r.codes) > 0 && !r.felt() {
		all = append(all, "nobody noticed the fault: it did not happen")
	}
	return all
}

// unexcused are all others.
func (r run) unexcused() []string {
	all := r.found(
		offence{"wrong answer", func(o outcome) error { return o.wrong }},
		offence{"no answer", r.lost},
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

// offence is what must not become of a request.
type offence struct {
	what string
	of   func(outcome) error // nil if it did not
}

// found tells the requests that offend, of each offence the first few.
func (r run) found(offences ...offence) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, kind := range offences {
		found := 0
		for _, o := range r.outcomes {
			if err := kind.of(o); err != nil {
				if found++; found <= maxExamples {
					add("%s: %s %s after the fault began, in %s: %v", kind.what, o.kind, o.begun.Sub(r.broken), o.took, err)
				}
			}
		}
		if found > maxExamples {
			add("%s: %d times in all", kind.what, found)
		}
	}
	return all
}

// lost finds requests without an answer. Only those may be that ran when the service died, or were
// begun before it was there again.
func (r run) lost(o outcome) error {
	if r.fatal && o.begun.Before(r.mended) && o.begun.Add(o.took).After(r.broken) {
		return nil
	}
	return o.lost
}

func (r run) badCode(o outcome) error {
	if o.lost != nil || o.wrong != nil || o.good() || slices.Contains(r.codes, o.code) {
		return nil
	}
	return errors.New(o.code)
}

func (r run) slow(o outcome) error {
	if o.lost != nil || o.took <= r.worst+o.longer+r.behind {
		return nil
	}
	return fmt.Errorf("over %s, and the test's own clock was behind by no more than %s", r.worst, r.behind)
}

func (r run) early(o outcome) error {
	if o.well() || !o.begun.Add(o.took).Before(r.broken) {
		return nil
	}
	return fmt.Errorf("code %q, stale %t, lost: %v", o.code, o.stale, o.lost)
}

func (r run) late(o outcome) error {
	if o.well() || o.begun.Before(r.stopped.Add(-r.clean)) {
		return nil
	}
	return fmt.Errorf("code %q, stale %t, lost: %v", o.code, o.stale, o.lost)
}

// felt tells whether anybody noticed: an error, a stale answer, or one that took long.
func (r run) felt() bool {
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
		case strings.Contains(line.Msg, "Redis") && !strings.Contains(line.Msg, "revoked"): // which is one for each revocation
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
	if r.logged && redisLines == 0 {
		all = append(all, "the log does not say that Redis cannot be used")
	}
	if len(all) > 2*maxExamples {
		all = append(all[:2*maxExamples], fmt.Sprintf("and %d more", len(all)-2*maxExamples))
	}
	return all
}

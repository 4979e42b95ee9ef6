//go:build linux

package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	soakFor  = flag.Duration("soak", 15*time.Second, "how long TestSoak breaks things")
	soakSeed = flag.Uint64("seed", 0, "determines the order of TestSoak's faults and requests; 0 picks one")
)

const (
	// soakCache is CACHE_MEMORY in MiB. The cache is full after half a minute and does not grow any more.
	soakCache = 16
	// operationTimeout is less than clientTimeout.
	operationTimeout = 10 * time.Second
	progressEvery    = 30 * time.Second
	// boundedFrom is how long a soak must be for its slopes to be more than noise.
	boundedFrom = 10 * time.Minute
	// maxMemorySlope is in MiB an hour. A leak of 23 bytes a request would be as much.
	maxMemorySlope = 16
	// maxGoroutineSlope is in goroutines an hour. A leak of one a fault would be some 470.
	maxGoroutineSlope = 35
)

// TestSoak breaks one thing after the other in a service that keeps running, under a mixed load.
func TestSoak(t *testing.T) {
	s := startSoak(t)
	defer func() { fmt.Print(s.report()) }() // even if the soak ends early
	s.harness.warmUp()
	s.before = s.harness.baseline()
	reported := s.start
	for time.Since(s.start) < *soakFor {
		s.episode()
		if time.Since(reported) > progressEvery {
			reported = time.Now()
			fmt.Println(s.progress())
		}
	}
	if err := s.harness.service.stop(); err != nil {
		t.Errorf("the service ended with: %v", err)
	}
	s.checkSlopes()
}

// soak is one harness for many faults, and what came of them so far.
type soak struct {
	soakStats
	harness *harness
	random  *rand.Rand
	queue   []fault // those still to come in this round
}

func startSoak(t *testing.T) *soak {
	t.Helper()
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) //nolint:gosec // any seed will do
	}
	fmt.Printf("soak: %s; the same order again: make soak SOAK=%s SEED=%d\n", *soakFor, *soakFor, seed)
	ends := time.Now().Add(min(*soakFor/2, 20*time.Second))
	h := newHarness(t, build(t), fault{proxied: true}, ends, seed,
		fmt.Sprintf("CACHE_MEMORY=%dMiB", soakCache), "OPERATION_TIMEOUT="+operationTimeout.String())
	h.traffic.next = newWorkload(h.traffic.fixture).next
	return &soak{
		soakStats: newSoakStats(),
		harness:   h,
		random:    rand.New(rand.NewPCG(2, seed)), //nolint:gosec // repeatable on purpose
	}
}

// soakPlan leaves time between two faults for the effects of the first to end.
func soakPlan() plan {
	p := plan{before: 2 * time.Second, during: 3 * time.Second, after: 2 * time.Second, clean: time.Second, patience: 20 * time.Second}
	if *soakFor < time.Minute {
		p.before, p.during, p.after = 600*time.Millisecond, 900*time.Millisecond, time.Second
	}
	return p
}

// nextFault picks one that has not occurred in this round.
func (s *soak) nextFault() (f fault) {
	if len(s.queue) == 0 {
		s.queue = slices.DeleteFunc(faults(), func(f fault) bool { return f.fatal || f.mode != "" })
		s.random.Shuffle(len(s.queue), func(i, j int) { s.queue[i], s.queue[j] = s.queue[j], s.queue[i] })
	}
	f, s.queue = s.queue[0], s.queue[1:]
	return f
}

// episode runs the next fault and takes a sample without traffic.
func (s *soak) episode() {
	t := s.harness.t
	f := s.nextFault()
	r := s.harness.runFault(f, soakPlan(), s.before)
	r.lines = s.harness.service.takeLines()
	s.add(r)
	s.calls = s.harness.authentik.Calls()
	problems := r.otherProblems()
	if late := r.timingProblems(); r.clockLag <= maxClockLag {
		problems = append(problems, late...)
	} else if len(late) > 0 {
		s.stalled++
		t.Logf("%s, while the machine was stalled: %s", f.name, strings.Join(late, "\n"))
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", f.name, problem)
	}
}

// checkSlopes fails the test if the service's footprint grows by more than noise.
func (s *soak) checkSlopes() {
	if *soakFor < boundedFrom {
		return
	}
	for _, growth := range []struct {
		what  string
		slope slope
		max   float64
	}{
		{"MiB of memory", s.memorySlope(), maxMemorySlope},
		{"goroutines", s.goroutineSlope(), maxGoroutineSlope},
	} {
		if growth.slope.perHour-3*growth.slope.deviation > growth.max {
			s.harness.t.Errorf("%s %s an hour more", growth.slope, growth.what)
		}
	}
}

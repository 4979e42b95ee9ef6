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
	soakSeed = flag.Uint64("seed", 0, "of the order of TestSoak's faults and requests; 0 picks one")
)

const (
	// soakCache is the service's CACHE_MEMORY in MiB: it is full after half a minute, and what the
	// service holds does not grow because of it from then on.
	soakCache = 16
	// operationTimeout is less than clients wait.
	operationTimeout = 10 * time.Second
	progressEvery    = 30 * time.Second
	// boundedFrom is how long a soak takes for its slopes to be more than noise.
	boundedFrom = 10 * time.Minute
	// maxMemorySlope is in MiB an hour: what 23 bytes would be that stay of each request.
	maxMemorySlope = 16
	// maxGoroutineSlope is in goroutines an hour. One that stays of each fault would be some 470.
	maxGoroutineSlope = 35
)

// TestSoak breaks one thing after the other, in a service that goes on, under a mixed load.
func TestSoak(t *testing.T) {
	k := startSoak(t)
	defer func() { fmt.Print(k.report()) }() // also of what ends early
	k.scene.warmUp()
	k.before = k.scene.held()
	told := k.start
	for time.Since(k.start) < *soakFor {
		k.episode()
		if time.Since(told) > progressEvery {
			told = time.Now()
			fmt.Println(k.progress())
		}
	}
	if err := k.scene.service.stop(); err != nil {
		t.Errorf("the service ended with: %v", err)
	}
	k.checkSlopes()
}

// soak is a scene that lasts, and what came of it so far.
type soak struct {
	figures
	scene  *scene
	random *rand.Rand
	faults []fault // those that are still to come before all come again
}

func startSoak(t *testing.T) *soak {
	t.Helper()
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) //nolint:gosec // any will do
	}
	fmt.Printf("soak: %s; the same order again: make soak SOAK=%s SEED=%d\n", *soakFor, *soakFor, seed)
	ends := time.Now().Add(min(*soakFor/2, 20*time.Second))
	s := newScene(t, build(t), fault{proxied: true}, ends, seed,
		fmt.Sprintf("CACHE_MEMORY=%dMiB", soakCache), "OPERATION_TIMEOUT="+operationTimeout.String())
	s.traffic.next = newMix(s.traffic.fixture).next
	return &soak{
		figures: newFigures(),
		scene:   s,
		random:  rand.New(rand.NewPCG(2, seed)), //nolint:gosec // repeatable on purpose
	}
}

// soakPlan leaves what a fault left behind the time to go, so that the next one has a clean start.
func soakPlan() plan {
	p := plan{before: 2 * time.Second, during: 3 * time.Second, after: 2 * time.Second, clean: time.Second, patience: 20 * time.Second}
	if *soakFor < time.Minute {
		p.before, p.during, p.after = 600*time.Millisecond, 900*time.Millisecond, time.Second
	}
	return p
}

// nextFault picks one of those that have not come since all did.
func (k *soak) nextFault() (f fault) {
	if len(k.faults) == 0 {
		k.faults = slices.DeleteFunc(faults(), func(f fault) bool { return f.fatal || f.mode != "" })
		k.random.Shuffle(len(k.faults), func(i, j int) { k.faults[i], k.faults[j] = k.faults[j], k.faults[i] })
	}
	f, k.faults = k.faults[0], k.faults[1:]
	return f
}

// episode lets the next fault come and go, and takes a sample while nobody asks.
func (k *soak) episode() {
	t := k.scene.t
	f := k.nextFault()
	r := k.scene.suffer(f, soakPlan(), k.before)
	r.lines = k.scene.service.takeLines()
	k.add(r)
	k.calls = k.scene.authentik.Calls()
	problems := r.unexcused()
	if late := r.untimely(); r.behind <= tolerated {
		problems = append(problems, late...)
	} else if len(late) > 0 {
		k.stoodStill++
		t.Logf("%s, while the machine stood still: %s", f.name, strings.Join(late, "\n"))
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", f.name, problem)
	}
}

// checkSlopes fails the test if what the service holds grows, beyond what the noise may be.
func (k *soak) checkSlopes() {
	if *soakFor < boundedFrom {
		return
	}
	for _, s := range []struct {
		what  string
		slope slope
		max   float64
	}{
		{"MiB of memory", k.memorySlope(), maxMemorySlope},
		{"goroutines", k.goroutineSlope(), maxGoroutineSlope},
	} {
		if s.slope.perHour-3*s.slope.deviation > s.max {
			k.scene.t.Errorf("%s %s an hour more", s.slope, s.what)
		}
	}
}

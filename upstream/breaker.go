package upstream

import (
	"log/slog"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	breakerRate   = 0.5              // of failures opens the breaker,
	breakerCalls  = 20               // among at least so many calls
	breakerWindow = 10 * time.Second // in this time.
	breakerDelay  = 2 * time.Second  // is how long it stays open
	maxProbes     = 3                // run at once when it is half-open
)

// verdict is what a call's end says about authentik.
type verdict int

const (
	unknown verdict = iota // nothing: the caller left
	answered
	failed
)

// breaker keeps calls from an authentik that fails. Window, thresholds and states are failsafe's.
// Who is a probe is counted here, for two reasons: failsafe's permits can only be given back with a
// verdict, so each caller that leaves would take one away for good; and it would take the end of a
// call that began before it opened, a time-out perhaps, for that of a probe.
type breaker struct {
	log *slog.Logger

	mu      sync.Mutex
	circuit circuitbreaker.CircuitBreaker[any]
	period  int   // number of the present state
	running int   // calls that began in this period
	opened  int64 // times it opened, failed probes not counted
	// answering: what changes the state now is an answer.
	answering bool
}

func newBreaker(log *slog.Logger) *breaker {
	b := &breaker{log: log}
	b.circuit = b.newCircuit()
	return b
}

// newCircuit is closed and knows of no call yet.
func (b *breaker) newCircuit() circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerRate, breakerCalls, breakerWindow).
		WithDelay(breakerDelay).
		WithSuccessThreshold(1). // the first probe that ends decides
		OnStateChanged(b.changed).
		Build()
}

// changed is called with mu held: all calls of the circuit's methods are made so.
func (b *breaker) changed(e circuitbreaker.StateChangedEvent) {
	if b.answering && e.NewState == circuitbreaker.OpenState {
		return
	}
	b.period++
	b.running = 0
	switch {
	case e.NewState == circuitbreaker.OpenState && e.OldState == circuitbreaker.ClosedState:
		b.opened++
		b.log.Warn("authentik fails; calls are turned away but for probes",
			"failures", e.Metrics().Failures(), "calls", e.Metrics().Executions())
	case e.NewState == circuitbreaker.ClosedState:
		b.log.Info("authentik answers again; calls are made")
	}
}

// enter begins a call and returns the period to hand to leave, or how long to wait before asking
// again.
func (b *breaker) enter() (period int, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.wait(); wait > 0 {
		return 0, wait
	}
	b.circuit.TryAcquirePermit() // half-opens a breaker that was open long enough
	b.running++
	return b.period, 0
}

// leave ends a call. One of an earlier period says nothing about this one.
func (b *breaker) leave(period int, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if period != b.period {
		return
	}
	b.running--
	switch v {
	case answered:
		b.answer()
	case failed:
		b.circuit.RecordFailure()
	}
}

// answer records one. failsafe would open the breaker for it, too, if failures were fewer than half of
// all calls until the answers of before them left the window. That authentik answers now says more: as
// with a probe, it ends what is held against it. It is called with mu held.
func (b *breaker) answer() {
	closed := b.circuit.State() == circuitbreaker.ClosedState
	b.answering = true
	b.circuit.RecordSuccess()
	b.answering = false
	if closed && b.circuit.State() != circuitbreaker.ClosedState {
		b.circuit = b.newCircuit()
	}
}

// refusal is how long a call would have to wait, 0 if it may be made.
func (b *breaker) refusal() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait()
}

// wait is whole seconds, at least one, while calls are turned away. It is called with mu held.
func (b *breaker) wait() time.Duration {
	switch b.circuit.State() {
	case circuitbreaker.OpenState:
		return (b.circuit.RemainingDelay() + time.Second - 1).Truncate(time.Second)
	case circuitbreaker.HalfOpenState:
		if b.running >= maxProbes {
			return time.Second
		}
	}
	return 0
}

// BreakerStates are the values of [Stats.BreakerState].
func BreakerStates() []string {
	return []string{circuitbreaker.ClosedState.String(), circuitbreaker.HalfOpenState.String(), circuitbreaker.OpenState.String()}
}

// state names the state for operators, and tells how often it opened.
func (b *breaker) state() (name string, opened int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit.State().String(), b.opened
}

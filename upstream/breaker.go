package upstream

import (
	"log/slog"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	// The breaker opens when this part of at least breakerCalls calls in breakerWindow fails.
	breakerRate   = 0.5
	breakerCalls  = 20
	breakerWindow = 10 * time.Second
	// breakerDelay is how long it stays open.
	breakerDelay = 2 * time.Second
	// maxProbes may run at once while it is half-open.
	maxProbes = 3
)

// outcome is what the end of a call says about authentik.
type outcome int

const (
	unknown outcome = iota // nothing, as the caller left
	answered
	failed
)

// breaker keeps calls from an authentik that fails. Window, thresholds and states are failsafe's. Probes
// are counted here, for two reasons. A permit of failsafe's can only be returned with an outcome, so each
// caller that leaves would take one away for good. And failsafe would count the end of a call that began
// before the breaker opened, such as a time-out, as the end of a probe.
type breaker struct {
	log *slog.Logger

	mu      sync.Mutex
	circuit circuitbreaker.CircuitBreaker[any]
	period  int   // number of the present state
	running int   // calls that began in this period
	opened  int64 // times it opened, without failed probes
	// answering is set while an answer is recorded, which may change the state.
	answering bool
}

func newBreaker(log *slog.Logger) *breaker {
	b := &breaker{log: log}
	b.circuit = b.newCircuit()
	return b
}

// newCircuit makes a closed circuit that has seen no call.
func (b *breaker) newCircuit() circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerRate, breakerCalls, breakerWindow).
		WithDelay(breakerDelay).
		WithSuccessThreshold(1). // the first probe that ends decides
		OnStateChanged(b.changed).
		Build()
}

// changed is called with mu held, as are all methods of the circuit.
func (b *breaker) changed(e circuitbreaker.StateChangedEvent) {
	if b.answering && e.NewState == circuitbreaker.OpenState {
		return
	}
	b.period++
	b.running = 0
	switch {
	case e.NewState == circuitbreaker.OpenState && e.OldState == circuitbreaker.ClosedState:
		b.opened++
		b.log.Warn("authentik fails; calls are rejected, except for probes",
			"failures", e.Metrics().Failures(), "calls", e.Metrics().Executions())
	case e.NewState == circuitbreaker.ClosedState:
		b.log.Info("authentik answers again; calls are made")
	}
}

// enter begins a call and returns the period to pass to leave, or how long to wait before the next try.
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

// leave ends a call. A call of an earlier period says nothing about this one.
func (b *breaker) leave(period int, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if period != b.period {
		return
	}
	b.running--
	switch o {
	case answered:
		b.answer()
	case failed:
		b.circuit.RecordFailure()
	}
}

// answer records an answer. It is called with mu held.
//
// failsafe opens a circuit even for an answer, if earlier answers left the window and the failures are now
// half of what is in it. But authentik answers, so that the failures are over: as after a probe, a new
// circuit forgets them.
func (b *breaker) answer() {
	closed := b.circuit.State() == circuitbreaker.ClosedState
	b.answering = true
	b.circuit.RecordSuccess()
	b.answering = false
	if closed && b.circuit.State() != circuitbreaker.ClosedState {
		b.circuit = b.newCircuit()
	}
}

// delay is how long a call must wait, 0 if it may be made.
func (b *breaker) delay() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait()
}

// wait is whole seconds, at least one, while calls are rejected. It is called with mu held.
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

// state names the state and counts how often the breaker opened.
func (b *breaker) state() (name string, opened int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit.State().String(), b.opened
}

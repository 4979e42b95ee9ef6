package upstream_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// TestCallsAreObserved checks that each call that is sent is observed with its result.
func TestCallsAreObserved(t *testing.T) {
	const fine upstream.Kind = -1
	for _, tt := range []struct {
		name  string
		fault upstreamtest.Fault
		want  []upstream.Kind // of each call
	}{
		{"answered", upstreamtest.Fault{}, []upstream.Kind{fine}},
		{"refused", upstreamtest.Forbidden403, []upstream.Kind{upstream.Forbidden}},
		{"each try", healing(1, upstreamtest.Reset), []upstream.Kind{upstream.Unavailable, fine}},
		{"too late", upstreamtest.Hang, []upstream.Kind{upstream.Timeout}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, server := authentik(t, upstreamtest.Options{})
			var seen []upstream.Kind
			c := client(t, server.URL, timeout(time.Second), func(o *upstream.Options) {
				o.Observe = func(took time.Duration, err error) {
					kind := fine
					if e, ok := errors.AsType[*upstream.Error](err); ok {
						kind = e.Kind
					}
					if seen = append(seen, kind); took <= 0 {
						t.Errorf("it took %s", took)
					}
				}
			})
			if tt.fault.Serve != nil {
				fake.SetFault(pk, tt.fault)
			}
			_, _ = c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if !slices.Equal(seen, tt.want) {
				t.Errorf("got %v, want %v", seen, tt.want)
			}
		})
	}
}

// TestKindsAndStatesHaveNames checks the names, which metrics need beforehand.
func TestKindsAndStatesHaveNames(t *testing.T) {
	names := map[string]bool{}
	for _, kind := range upstream.Kinds() {
		names[kind.String()] = true
	}
	if len(names) != int(upstream.Unlicensed)+1 || names[""] {
		t.Errorf("the kinds are %v", names)
	}
	_, server := authentik(t, upstreamtest.Options{})
	state := client(t, server.URL).Stats().BreakerState
	if states := upstream.BreakerStates(); len(states) != 3 || states[0] != state {
		t.Errorf("the states are %v; it is %s", states, state)
	}
}

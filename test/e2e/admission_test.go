package e2e

import (
	"fmt"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// TestInventedTokenMakesOneCall checks that an invented token makes one call, also if it asks for a hundred
// codes.
func TestInventedTokenMakesOneCall(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=0s")
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "a%d: authorizationCode(id: %d) { id } ", i, i+1)
	}
	got := query(t, a.URL, "invented", "{ "+b.String()+" }")
	if n := strings.Count(got.Codes(), "UNAUTHENTICATED"); n != 100 {
		t.Errorf("%d errors: %s", n, got.Body)
	}
	if n := up.Calls().Total; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); got.Codes() != "" {
		t.Errorf("alice: %s", got.Body)
	}
}

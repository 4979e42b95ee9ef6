package jsondepth_test

import (
	"strings"
	"testing"

	"authentik-graphql/internal/jsondepth"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]int{
		`1`: 0, `"[[["`: 0, `"\"[\\"`: 0, `[]`: 1, `{"a":[1,{"b":2}],"c":[]}`: 3, `["]",["\\"]]`: 2, `{"a":"\\\"}"}`: 1,
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000): 1000,
	} {
		if got := jsondepth.Of([]byte(text)); got != want {
			t.Errorf("%.40s: %d, want %d", text, got, want)
		}
	}
}

package jsonplain_test

import (
	"strings"
	"testing"

	"authentik-graphql/internal/jsonplain"
)

func slow(text string) int {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			return i
		}
	}
	return len(text)
}

// TestPrefix has each byte at each place among others that are just not to be escaped.
func TestPrefix(t *testing.T) {
	for _, around := range []string{" ", "!", "#", "[", "]", "\x7f", "\x80", "\xa2", "\xdc", "\xff"} {
		for place := range 20 {
			for c := range 256 {
				text := strings.Repeat(around, place) + string([]byte{byte(c)}) + strings.Repeat(around, 19-place)
				if got, want := jsonplain.Prefix(text), slow(text); got != want {
					t.Errorf("%q: %d, want %d", text, got, want)
				}
			}
		}
	}
}

func FuzzPrefix(f *testing.F) {
	for _, text := range []string{"", "abc", `abcdefgh"`, "abcdefg\\", "\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\x1f"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := jsonplain.Prefix(text), slow(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	})
}

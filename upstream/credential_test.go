package upstream_test

import (
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

var digestKey = []byte("0123456789abcdef0123456789abcdef")

var digester = upstream.NewDigester(digestKey)

// same compares credentials the way caches do.
func same(a, b upstream.Credential) bool { return digester.Digest(a) == digester.Digest(b) }

func TestParseAuthorization(t *testing.T) {
	long := strings.Repeat("a", 8192)
	all := "" // every visible ASCII character
	for c := '!'; c <= '~'; c++ {
		all += string(c)
	}
	for _, tc := range []struct {
		name  string
		lines []string
		want  string // the token; empty is none
	}{
		{"token", []string{"Bearer abc"}, "abc"},
		{"lower case", []string{"bearer abc"}, "abc"},
		{"upper case", []string{"BEARER abc"}, "abc"},
		{"one character", []string{"Bearer a"}, "a"},
		{"every visible character", []string{"Bearer " + all}, all},
		{"the longest", []string{"Bearer " + long}, long},
		{"too long", []string{"Bearer " + long + "a"}, ""},
		{"no header", nil, ""},
		{"empty header", []string{""}, ""},
		{"two headers", []string{"Bearer abc", "Bearer abc"}, ""},
		{"scheme alone", []string{"Bearer"}, ""},
		{"scheme and blank", []string{"Bearer "}, ""},
		{"bare token", []string{"abc"}, ""},
		{"basic", []string{"Basic YWJj"}, ""},
		{"scheme with more letters", []string{"Bearers abc"}, ""},
		{"scheme that folds to bearer outside ASCII", []string{"Bea\u0280er abc"}, ""},
		{"no blank", []string{"Bearerabc"}, ""},
		{"colon", []string{"Bearer:abc"}, ""},
		{"two blanks", []string{"Bearer  abc"}, ""},
		{"tab", []string{"Bearer\tabc"}, ""},
		{"tab after the blank", []string{"Bearer \tabc"}, ""},
		{"blank before", []string{" Bearer abc"}, ""},
		{"blank after", []string{"Bearer abc "}, ""},
		{"blank inside", []string{"Bearer abc def"}, ""},
		{"two credentials in a line", []string{"Bearer abc, Bearer def"}, ""},
		{"UTF-8", []string{"Bearer abcü"}, ""},
		{"Latin 1", []string{"Bearer abc\xfc"}, ""},
		{"NUL", []string{"Bearer abc\x00"}, ""},
		{"delete", []string{"Bearer abc\x7f"}, ""},
		{"line break", []string{"Bearer abc\r\nX: y"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := upstream.ParseAuthorization(http.Header{"Authorization": tc.lines})
			if got.IsZero() != (tc.want == "") || !same(got, upstream.NewCredential(tc.want)) {
				t.Errorf("zero %v", got.IsZero())
			}
		})
	}
}

func TestDigest(t *testing.T) {
	a, b := upstream.NewCredential("a"), upstream.NewCredential("b")
	switch {
	case !same(a, upstream.NewCredential("a")):
		t.Error("one token, two digests")
	case same(a, b):
		t.Error("two tokens, one digest")
	case digester.Digest(a) == upstream.NewDigester(digestKey[1:]).Digest(a):
		t.Error("two keys, one digest")
	case same(upstream.Credential{}, a):
		t.Error("no token, digest of one")
	}
}

func TestParsePK(t *testing.T) {
	for _, s := range []string{"1", "9", "10", "17", "999999999", "2147483647"} {
		if pk, err := upstream.ParsePK(s); err != nil || pk.String() != s {
			t.Errorf("%q: %v, %v", s, pk, err)
		}
	}
	for _, s := range []string{
		"", "0", "00", "01", "+1", "-1", "-0", "0_1", "1_0", " 1", "1 ", "1\n", "1\x00", "1.0", "1.", "1e0", "0x1", "1/", "%31",
		"2147483648", "4294967297", "9999999999", "10000000000", "9223372036854775808", "18446744073709551617", strings.Repeat("1", 4300),
		"\u0661", "\uff11", "\u00b9", "abc", "null", "true", "3fa85f64-5717-4562-b3fc-2c963f66afa6",
	} {
		if pk, err := upstream.ParsePK(s); err == nil || pk != 0 {
			t.Errorf("%q: %v, %v", s, pk, err)
		}
	}
}

package graph

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

func TestCursor(t *testing.T) {
	for _, resource := range upstream.Resources() {
		for _, oldest := range []bool{false, true} {
			for _, at := range []upstream.Position{{PK: 1}, {PK: 17, Offset: 3}, {PK: math.MaxInt32, Offset: math.MaxInt32}} {
				cursor := writeCursor(at, resource, oldest)
				if got, ok := readCursor(cursor, resource, oldest); !ok || got != at {
					t.Errorf("%+v came back as %+v, %t", at, got, ok)
				}
				for _, other := range upstream.Resources() {
					for _, order := range []bool{false, true} {
						if _, ok := readCursor(cursor, other, order); ok != (other == resource && order == oldest) {
							t.Errorf("a cursor of %s, oldest first %t: %t for %s, %t", resource, oldest, ok, other, order)
						}
					}
				}
			}
		}
	}
	good := writeCursor(upstream.Position{PK: 17, Offset: 3}, upstream.AuthorizationCodes, false)
	raw := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	if good != raw("1.authorization_codes.n.17.3") {
		t.Fatalf("the cursor is %q", good)
	}
	for name, cursor := range map[string]string{
		"empty":                   "",
		"no base64":               "authorization_codes",
		"padding":                 base64.URLEncoding.EncodeToString([]byte("1.authorization_codes.n.17.33")) + "=",
		"the other alphabet":      strings.Replace(good, "_", "/", 1) + "+/",
		"a new line in it":        good[:4] + "\n" + good[4:],
		"a new line after it":     good + "\n",
		"a blank before it":       " " + good,
		"bits beyond the end":     good[:len(good)-1] + string(good[len(good)-1]+1),
		"truncated":               good[:len(good)-4],
		"twice":                   good + good,
		"too long":                raw("1.authorization_codes.n.17." + strings.Repeat("0", 200) + "3"),
		"a later version":         raw("2.authorization_codes.n.17.3"),
		"no version":              raw("authorization_codes.n.17.3"),
		"an unknown list":         raw("1.users.n.17.3"),
		"an unknown order":        raw("1.authorization_codes.x.17.3"),
		"no offset":               raw("1.authorization_codes.n.17"),
		"a part more":             raw("1.authorization_codes.n.17.3.1"),
		"a row of 0":              raw("1.authorization_codes.n.0.3"),
		"a row of 01":             raw("1.authorization_codes.n.01.3"),
		"a negative row":          raw("1.authorization_codes.n.-1.3"),
		"a row beyond 32 bits":    raw("1.authorization_codes.n.2147483648.3"),
		"a negative offset":       raw("1.authorization_codes.n.17.-3"),
		"an offset of -0":         raw("1.authorization_codes.n.17.-0"),
		"an offset with a sign":   raw("1.authorization_codes.n.17.+3"),
		"an offset of 03":         raw("1.authorization_codes.n.17.03"),
		"an offset over 32 bits":  raw("1.authorization_codes.n.17.2147483648"),
		"an offset that is none":  raw("1.authorization_codes.n.17.x"),
		"an offset in another":    raw("1.authorization_codes.n.17.٣"),
		"an offset with a blank":  raw("1.authorization_codes.n.17. 3"),
		"an offset with a zero":   raw("1.authorization_codes.n.17.3\x00"),
		"an offset with a hyphen": raw("1.authorization_codes.n.17.1_0"),
	} {
		if at, ok := readCursor(cursor, upstream.AuthorizationCodes, false); ok {
			t.Errorf("%s: %q is taken for %+v", name, cursor, at)
		}
	}
}

// FuzzCursor checks that a text is a cursor of at most one list in one order, and written in one way.
func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("MQ")
	for _, text := range []string{"1.authorization_codes.n.17.3", "1.access_tokens.o.1.0", "1.refresh_tokens.n.2147483647.2147483647", "1.authorization_codes.n.17.-3"} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(text)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		taken := 0
		for _, resource := range upstream.Resources() {
			for _, oldest := range []bool{false, true} {
				at, ok := readCursor(text, resource, oldest)
				if !ok {
					continue
				}
				taken++
				if at.PK < 1 || at.Offset < 0 || at.Offset > math.MaxInt32 {
					t.Errorf("%q gives %+v", text, at)
				}
				if again := writeCursor(at, resource, oldest); again != text {
					t.Errorf("%q is written %q", text, again)
				}
			}
		}
		if taken > 1 {
			t.Errorf("%q is of %d lists", text, taken)
		}
	})
}

package scalar_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"authentik-graphql/graph/scalar"
)

func TestUUID(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want string // empty for an error
	}{
		{"lower case", "3fa85f64-5717-4562-b3fc-2c963f66afa6", "3fa85f64-5717-4562-b3fc-2c963f66afa6"},
		{"upper case", "3FA85F64-5717-4562-B3FC-2C963F66AFA6", "3fa85f64-5717-4562-b3fc-2c963f66afa6"},
		{"without hyphens", "3fa85f6457174562b3fc2c963f66afa6", ""},
		{"in braces", "{3fa85f64-5717-4562-b3fc-2c963f66afa6}", ""},
		{"another digit", "3fa85f64-5717-4562-b3fc-2c963f66afag", ""},
		{"a number", 17, ""},
		{"null", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := scalar.UnmarshalUUID(tt.in)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestJSONKeepsItsBytes(t *testing.T) {
	for _, in := range []string{`{"b":9007199254740993,"a":[null,{"c":1e30}],"b":"\u00e9"}`, `123456789012345678901234567890`, `null`, `""`} {
		if got := written(scalar.MarshalJSON(jsontext.Value(in))); got != in {
			t.Errorf("%s became %s", in, got)
		}
	}
	if got := written(scalar.MarshalJSON(nil)); got != "null" {
		t.Errorf("nothing became %s", got)
	}
}

// TestStrings checks that any text is written as JSON that reads as the same text.
func TestStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		var got string
		if err := json.Unmarshal(scalar.AppendString(nil, text), &got); err != nil || got != string([]rune(text)) {
			t.Errorf("%q became %q, error %v", text, got, err)
		}
	})
}

func TestDateTimeIsRefused(t *testing.T) {
	for _, in := range []any{"2026-01-02", "2026-01-02 03:04:05Z", "", 17, nil} {
		if got, err := scalar.UnmarshalDateTime(in); err == nil {
			t.Errorf("%v was read as %v", in, got)
		}
	}
}

func written(m graphql.Marshaler) string {
	var b strings.Builder
	m.MarshalGQL(&b)
	return b.String()
}

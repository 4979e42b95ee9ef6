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

func written(m graphql.Marshaler) string {
	var b strings.Builder
	m.MarshalGQL(&b)
	return b.String()
}

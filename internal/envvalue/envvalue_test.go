package envvalue_test

import (
	"encoding"
	"testing"

	"authentik-graphql/internal/envvalue"
)

func TestValues(t *testing.T) {
	var count envvalue.Count
	var size envvalue.Size
	for _, tt := range []struct {
		into encoding.TextUnmarshaler
		text string
		want string // the error
	}{
		{&count, "1", ""},
		{&count, "1000000", ""},
		{&count, "0", "must be from 1 to 1000000"},
		{&count, "1000001", "must be from 1 to 1000000"},
		{&count, "1e3", "must be from 1 to 1000000"},
		{&size, "1", ""},
		{&size, "1GiB", ""},
		{&size, "0", "must be from 1 byte to 1GiB"},
		{&size, "1025MiB", "must be from 1 byte to 1GiB"},
		{&size, "-1", "is not a size"},
		{&size, "much", "is not a size"},
	} {
		got := ""
		if err := tt.into.UnmarshalText([]byte(tt.text)); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%T %s: error %q, want %q", tt.into, tt.text, got, tt.want)
		}
	}
	if count != 1_000_000 || size != 1<<30 || size.String() != "1.0 GiB" {
		t.Errorf("got %d and %s", count, size)
	}
}

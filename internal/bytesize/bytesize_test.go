package bytesize_test

import (
	"testing"

	"authentik-graphql/internal/bytesize"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]bytesize.Size{
		"0": 0, "1": 1, "64KiB": 64 << 10, "1GiB": 1 << 30, "-1": -1, "much": -1, "16EiB": -1,
	} {
		size := bytesize.Size(-1) // stays if the text is refused
		if err := size.UnmarshalText([]byte(text)); size != want || (err != nil) != (want < 0) {
			t.Errorf("%s: got %d, error %v, want %d", text, size, err, want)
		}
	}
	if got := bytesize.Size(1 << 30).String(); got != "1.0 GiB" {
		t.Errorf("got %s", got)
	}
}

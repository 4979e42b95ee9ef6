// Package bytesize has the type of settings that are sizes. It knows nothing of where their text comes from.
package bytesize

import (
	"errors"
	"math"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes, written with or without a unit.
type Size int

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt {
		return errors.New("not a size")
	}
	*s = Size(n)
	return nil
}

// String writes the size with a unit.
func (s Size) String() string { return humanize.IBytes(uint64(s)) } //nolint:gosec // never negative

// Package envvalue holds the types of settings that other packages than the configuration use. They
// read themselves from text and report a value out of range. They know nothing of where the text
// comes from.
package envvalue

import (
	"strconv"

	"github.com/dustin/go-humanize"
)

// Error says what is wrong with a value, after the name of its setting. It never repeats the value,
// which may be secret.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

// Count is a number from 1 to 1,000,000.
type Count int

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 1_000_000 {
		return Error("must be from 1 to 1000000")
	}
	*c = Count(n)
	return nil
}

// Size is a number of bytes, from 1 to 1 GiB, written with or without a unit.
type Size int

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil {
		return Error("is not a size")
	}
	if n < 1 || n > 1<<30 {
		return Error("must be from 1 byte to 1GiB")
	}
	*s = Size(n)
	return nil
}

// String writes the size with a unit.
func (s Size) String() string { return humanize.IBytes(uint64(s)) } //nolint:gosec // never negative

//go:build !unix

package httpserver

import "math"

// openFiles returns how many files the process may open, which is unknown.
func openFiles() uint64 { return math.MaxUint64 }

//go:build unix

package httpserver

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may open. Go has raised the limit as far as it is allowed to.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return uint64(limit.Cur) //nolint:unconvert // it is another type on some systems
}

//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFiles is how many files the process may open. Go has raised that as far as it may.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return uint64(limit.Cur) //nolint:unconvert // it is another type on some systems
}

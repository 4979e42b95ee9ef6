// Package faults proves what clients see while Redis, authentik or the service itself breaks. It holds
// nothing but tests of the built binary.
//
// Each row of the table starts the binary with a Redis in the row's mode and a fake authentik, lets
// callers ask at a steady rate, breaks one thing and repairs it. Every response is checked, not only
// counted. make test-long runs a short form of every row, make faults the long one, which prints the table
// of docs/faults.md.
//
// TestSoak breaks one thing after the other in one process, under a mixed load, and watches the
// process's memory and goroutines: make soak. TestStampede asks several processes at once for one code.
//
// The binary differs from the shipped one by one file: go build -overlay adds testdata/goroutines.go to
// the main package. At a signal it returns free memory to the system, so that only memory in use is
// resident, and writes its goroutines to a pipe. Neither can be done from outside.
package faults

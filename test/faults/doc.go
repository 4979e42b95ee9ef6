// Package faults proves what the service does while Redis, authentik or the service itself breaks.
// It holds nothing but tests: nothing of it is in the binary.
//
// Each row of the table starts the built binary with a Redis of its own, in the form that the row
// wants, and a fake authentik on a real listener, lets callers ask at a steady rate, breaks one
// thing and mends it again. Every answer is checked, not just counted. go test runs a short form of
// every row; make faults runs the long one and prints the table of docs/faults.md.
//
// TestSoak lets the faults of one standalone Redis and of authentik follow one another in a service
// that goes on, under a load of all kinds of requests, and watches what it holds: make soak.
//
// Beside the table thousands ask at once for one code over several processes, and authentik is
// asked as few times as the cache promises: see TestStorm.
//
// The binary is the one that ships but for one file: testdata/goroutines.go, laid over the main
// package by go build -overlay, gives free memory back and writes the goroutines of the process to
// a pipe when asked by a signal. They cannot be counted from outside, and a leak of them shows
// nowhere else; and without the other nobody could tell memory that is held from memory that the
// runtime has not returned yet.
package faults

// Package cputime measures benchmarks by processor time, which is what a service costs. It depends less on the
// load of the machine than elapsed time does.
package cputime

import (
	"syscall"
	"testing"
	"time"
)

// callers is how many goroutines run the operation of Parallel on each processor. With one, the process would
// spend much of its time on falling asleep and waking up.
const callers = 8

// Parallel runs a benchmark's operation in several goroutines and reports its cost.
func Parallel(b *testing.B, op func()) {
	b.SetParallelism(callers)
	Report(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			op()
		}
	})
}

// Report adds the process's processor time, in nanoseconds per operation, to the benchmark's report. Call it
// right before the operations.
func Report(b *testing.B) {
	b.ReportAllocs()
	before := Used(b)
	b.Cleanup(func() { b.ReportMetric(float64(Used(b)-before)/float64(b.N), "cpu-ns/op") })
}

// Used returns the processor time that the process has used.
func Used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

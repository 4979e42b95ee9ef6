// Package cputime measures benchmarks by processor time, which a busy machine changes less than the
// time that passes, and which is what a service costs.
package cputime

import (
	"syscall"
	"testing"
	"time"
)

// callers is how many run an operation of Parallel at once on each processor: some, for a process
// that is idle between two operations spends much of its time on falling asleep and waking up.
const callers = 8

// Parallel runs a benchmark's operation by several callers at once and reports what it costs.
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

// Report adds the process's own processor time, in nanoseconds an operation, to what a benchmark
// reports. It is to be called just before the operations.
func Report(b *testing.B) {
	b.ReportAllocs()
	before := used(b)
	b.Cleanup(func() { b.ReportMetric(float64(used(b)-before)/float64(b.N), "cpu-ns/op") })
}

func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

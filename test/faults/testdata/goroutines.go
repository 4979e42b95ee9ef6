package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
)

// init lets the tests of package faults see what the process holds. At SIGUSR1 it returns free memory to
// the system and writes the profile of all goroutines, grouped by their stacks, and a zero byte to file
// descriptor 3. The shipped binary does not hold this file.
func init() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	out := os.NewFile(3, "goroutines")
	go func() {
		for range asked {
			debug.FreeOSMemory()
			_ = pprof.Lookup("goroutine").WriteTo(out, 1)
			_, _ = out.Write([]byte{0})
		}
	}()
}

package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// init lets the benchmark profile the service. The first SIGUSR1 starts a CPU profile and the second ends
// it. The file that BENCH_PROFILE names appears once it is complete. The shipped binary does not hold this
// file.
func init() {
	path := os.Getenv("BENCH_PROFILE")
	asked := make(chan os.Signal, 2)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		<-asked
		file, err := os.Create(path + ".part")
		if err != nil || pprof.StartCPUProfile(file) != nil {
			os.Exit(1)
		}
		<-asked
		pprof.StopCPUProfile()
		_ = file.Close()
		_ = os.Rename(path+".part", path)
	}()
}

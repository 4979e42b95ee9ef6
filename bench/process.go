package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cores are those that the kernel lets this process use: one for the server under test, another for
// all the rest, the same if there is no other.
type cores struct{ server, rest string }

func findCores() (cores, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return cores{}, fmt.Errorf("the benchmark runs on Linux alone: %w", err)
	}
	list := regexp.MustCompile(`(?m)^Cpus_allowed_list:\s+(\d+)(?:.*\D)?(\d+)?$`).FindSubmatch(status)
	if list == nil {
		return cores{}, fmt.Errorf("no list of cores in\n%s", status)
	}
	c := cores{server: string(list[1]), rest: string(list[2])}
	if c.rest == "" {
		c.rest = c.server
	}
	return c, nil
}

// process is one that the benchmark started.
type process struct {
	*exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	asked int // requests so far
}

// start starts a program on a core, with one running thread of Go and nothing else but env in its
// environment. It is killed when ctx ends.
func start(ctx context.Context, core string, stderr io.Writer, env []string, argv ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", core}, argv...)...) //nolint:gosec // our own programs
	cmd.Env = append([]string{"GOMAXPROCS=1"}, env...)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return &process{Cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

// startRole starts this program again as one of its roles.
func startRole(ctx context.Context, core string, role ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, core, os.Stderr, nil, append([]string{self}, role...)...)
}

// address reads the line on which a role tells its address.
func (p *process) address() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// stop ends the process as an operator would, and returns an error unless it ends well.
func (p *process) stop() error {
	_ = p.in.Close()
	_ = p.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = p.Process.Kill() })
	defer kill.Stop()
	return p.Wait()
}

// cpu is the time that the process's threads have run, to the nanosecond. What /proc/<pid>/stat says
// may be an estimate: who ran when the clock ticked. Threads that have ended do not count; Go keeps
// them.
func (p *process) cpu() (total time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Process.Pid))
	if err != nil || threads == nil {
		return 0, fmt.Errorf("no scheduler statistics of process %d: %w", p.Process.Pid, err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread) //nolint:gosec // of the kernel
		if err != nil {
			return 0, err
		}
		var ran int64
		if _, err := fmt.Sscan(string(stat), &ran); err != nil {
			return 0, fmt.Errorf("read %s: %w", thread, err)
		}
		total += time.Duration(ran)
	}
	return total, nil
}

// peak is the largest resident set that the process had, in bytes.
func (p *process) peak() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("no VmHWM in\n%s", status)
	}
	kB, err := strconv.Atoi(string(found[1]))
	return kB << 10, err
}

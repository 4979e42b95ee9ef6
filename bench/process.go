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

// cores are of those that this process may use: one for the server under test and one for everything else.
// They are the same if there is only one.
type cores struct{ server, rest string }

func findCores() (cores, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return cores{}, fmt.Errorf("the benchmark needs Linux: %w", err)
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

// process is a process that the benchmark started.
type process struct {
	*exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
	requests int // requests so far
}

// start starts a program on a core with GOMAXPROCS=1 and env alone in its environment. The end of ctx
// kills it.
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

// startRole starts this program in one of its roles.
func startRole(ctx context.Context, core string, role ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, core, os.Stderr, nil, append([]string{self}, role...)...)
}

// address reads the line on which a role prints its address.
func (p *process) address() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// stop ends the process as an operator would. It returns an error unless the process exits with status 0.
func (p *process) stop() error {
	_ = p.in.Close()
	_ = p.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = p.Process.Kill() })
	defer kill.Stop()
	return p.Wait()
}

// cpu returns the time that the process's threads have run, to the nanosecond. The figures of
// /proc/<pid>/stat may be sampled at clock ticks. Ended threads do not count, but Go keeps its threads.
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

// peak returns the process's peak resident set in bytes.
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

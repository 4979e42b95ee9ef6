package telemetry

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writes records what each call of Write got.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func TestLogLinesAreBatched(t *testing.T) {
	line := strings.Repeat("x", 1023) + "\n"
	for _, tt := range []struct {
		name string
		log  func(log *slog.Logger, flush func())
		want []int // lines in each write
	}{
		{"nothing", func(*slog.Logger, func()) {}, nil},
		{"lines within the delay are one write", func(log *slog.Logger, _ func()) {
			log.Info("a")
			time.Sleep(logDelay - 1)
			log.Info("b")
			time.Sleep(time.Nanosecond)
			synctest.Wait()
		}, []int{2}},
		{"the delay begins with the first line that waits", func(log *slog.Logger, _ func()) {
			for range 3 {
				log.Info("a")
				time.Sleep(logDelay + 1)
			}
		}, []int{1, 1, 1}},
		{"a warning is written at once, with what waits", func(log *slog.Logger, _ func()) {
			log.Info("a")
			log.With("b", 1).WithGroup("c").Warn("d")
		}, []int{2}},
		{"an error too", func(log *slog.Logger, _ func()) { log.Error("a") }, []int{1}},
		{"a full buffer is written", func(log *slog.Logger, _ func()) {
			for range logBuffer/len(line) + 1 {
				_, _ = log.Handler().(logHandler).w.Write([]byte(line))
			}
		}, []int{logBuffer / len(line)}},
		{"the end", func(log *slog.Logger, flush func()) {
			log.Info("a")
			flush()
			flush()
		}, []int{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &writes{}
				tt.log(NewLogger(out, LogOptions{}))
				out.mu.Lock()
				defer out.mu.Unlock()
				var got []int
				for _, written := range out.all {
					got = append(got, strings.Count(written, "\n"))
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("writes of %v lines, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestNoLogLineIsLost logs from many goroutines at once: each line arrives whole, in the order of its
// goroutine.
func TestNoLogLineIsLost(t *testing.T) {
	var out bytes.Buffer
	w := newLogWriter(&out)
	var all sync.WaitGroup
	const each = 2000
	for i := range 8 {
		all.Go(func() {
			for n := range each {
				_, _ = fmt.Fprintf(w, "%d %d %s\n", i, n, strings.Repeat("x", 40))
			}
		})
	}
	all.Wait()
	w.flush()
	var next [8]int
	for line := range strings.Lines(out.String()) {
		var i, n int
		var rest string
		if _, err := fmt.Sscanf(line, "%d %d %s\n", &i, &n, &rest); err != nil || n != next[i] || len(rest) != 40 {
			t.Fatalf("%q: line %d of goroutine %d comes next", line, next[i], i)
		}
		next[i]++
	}
	if next != [8]int{each, each, each, each, each, each, each, each} {
		t.Errorf("lines: %v", next)
	}
}

// stalledWriter is an output whose reader has stopped.
type stalledWriter struct{ writing, resume chan struct{} }

func (w stalledWriter) Write(b []byte) (int, error) {
	w.writing <- struct{}{}
	<-w.resume
	return len(b), nil
}

// TestStalledOutput checks that a line is accepted while an earlier one cannot be written.
func TestStalledOutput(t *testing.T) {
	out := stalledWriter{make(chan struct{}, 8), make(chan struct{})}
	log, flush := NewLogger(out, LogOptions{})
	log.Info("first")
	<-out.writing
	accepted := make(chan struct{})
	go func() {
		log.Info("second")
		close(accepted)
	}()
	select {
	case <-accepted:
	case <-time.After(20 * time.Second):
		t.Error("a line waits for the output")
	}
	close(out.resume)
	flush()
}

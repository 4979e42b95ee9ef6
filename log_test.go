package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// writes remembers what each write brought.
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

func TestLogLinesAreGathered(t *testing.T) {
	line := strings.Repeat("x", 1023) + "\n"
	for _, tt := range []struct {
		name string
		log  func(w *logWriter, log *slog.Logger)
		want []int // lines in each write
	}{
		{"nothing", func(*logWriter, *slog.Logger) {}, nil},
		{"lines within the delay are one write", func(_ *logWriter, log *slog.Logger) {
			log.Info("a")
			time.Sleep(logDelay - 1)
			log.Info("b")
			time.Sleep(time.Nanosecond)
			synctest.Wait()
		}, []int{2}},
		{"the delay begins with the first line that waits", func(_ *logWriter, log *slog.Logger) {
			for range 3 {
				log.Info("a")
				time.Sleep(logDelay + 1)
			}
		}, []int{1, 1, 1}},
		{"a warning is written at once, with what waits", func(_ *logWriter, log *slog.Logger) {
			log.Info("a")
			log.With("b", 1).WithGroup("c").Warn("d")
		}, []int{2}},
		{"an error too", func(_ *logWriter, log *slog.Logger) { log.Error("a") }, []int{1}},
		{"a full buffer is written", func(w *logWriter, _ *slog.Logger) {
			for range logBuffer/len(line) + 1 {
				_, _ = w.Write([]byte(line))
			}
		}, []int{logBuffer / len(line)}},
		{"the end", func(w *logWriter, log *slog.Logger) {
			log.Info("a")
			w.flush()
			w.flush()
		}, []int{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &writes{}
				w := newLogWriter(out)
				tt.log(w, newLogger(w, Config{}))
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

// TestPlainLines: a plain record has the line that slog's own handler writes, and another is left to it.
func TestPlainLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,30}`), rapid.StringN(0, 8, -1), rapid.Just("hit; ttl=3"))
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		level := rapid.SampledFrom([]slog.Level{slog.LevelInfo, slog.LevelInfo, slog.LevelInfo, slog.LevelWarn}).Draw(t, "level")
		message := text.Draw(t, "message")
		var attrs []slog.Attr
		for range rapid.IntRange(0, 9).Draw(t, "attrs") {
			attrs = append(attrs, slog.Attr{Key: text.Draw(t, "key"), Value: rapid.SampledFrom([]slog.Value{
				slog.StringValue(text.Draw(t, "text")), slog.StringValue("plain"), slog.Int64Value(rapid.Int64().Draw(t, "n")), slog.BoolValue(true), slog.AnyValue([]string{"a"}), slog.GroupValue(),
			}).Draw(t, "value")})
		}
		record := slog.NewRecord(at, level, message, 0)
		record.AddAttrs(attrs...)
		var want, got bytes.Buffer
		if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		w := newLogWriter(&got)
		writeLine(t.Context(), newLogger(w, Config{}).Handler(), at, level, message, attrs)
		if w.flush(); got.String() != want.String() {
			t.Fatalf("%s is written as\n%s", want.String(), got.String())
		}
	})
}

// TestRequestLineIsPlain: the line of a usual request is written the short way.
func TestRequestLineIsPlain(t *testing.T) {
	line, ok := appendPlain(nil, time.Now(), "request", []slog.Attr{slog.String("request_id", "A-1"), slog.Int("status", 200), slog.String("cache", "hit; ttl=3")})
	if !ok {
		t.Errorf("%s", line)
	}
}

// TestNoLogLineIsLost: lines of many that log at once come whole, each one's in their order.
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
			t.Fatalf("%q: line %d of writer %d comes next", line, next[i], i)
		}
		next[i]++
	}
	if next != [8]int{each, each, each, each, each, each, each, each} {
		t.Errorf("lines: %v", next)
	}
}

package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// newLogger makes the logger of the settings.
func newLogger(w *logWriter, cfg Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "text" {
		return slog.New(promptHandler{slog.NewTextHandler(w, o), w})
	}
	return slog.New(promptHandler{slog.NewJSONHandler(w, o), w})
}

const (
	// logBuffer is how many bytes of log lines wait at most to be written, and logDelay how long.
	logBuffer = 64 << 10
	logDelay  = 100 * time.Millisecond
)

// logWriter gathers log lines: a write of its own for each costs more than to answer a request. What
// it holds is lost if the process is killed.
type logWriter struct {
	out io.Writer

	mu      sync.Mutex
	pending []byte
	timer   *time.Timer // runs while something waits

	// writing is held while lines are written, in their order, without holding up those who add more.
	writing sync.Mutex
	spare   []byte
}

func newLogWriter(out io.Writer) *logWriter { return &logWriter{out: out} }

// Write implements [io.Writer]. It takes whole lines and reports no failure of out: nobody could be
// told.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	full := len(w.pending)+len(line) > logBuffer
	w.mu.Unlock()
	if full {
		w.flush()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		w.arm()
	}
	w.pending = append(w.pending, line...)
	return len(line), nil
}

func (w *logWriter) arm() {
	if w.timer == nil {
		w.timer = time.AfterFunc(logDelay, w.flush)
		return
	}
	w.timer.Reset(logDelay)
}

// flush writes what waits, and returns once it and all before it is written.
func (w *logWriter) flush() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	lines := w.pending
	w.pending = w.spare[:0]
	w.mu.Unlock()
	if len(lines) > 0 {
		_, _ = w.out.Write(lines)
	}
	w.spare = lines
	if cap(lines) > 2*logBuffer {
		w.spare = nil // a single line was larger
	}
}

// promptHandler writes warnings and errors at once, and with them what waits.
type promptHandler struct {
	slog.Handler
	w *logWriter
}

func (h promptHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.w.flush()
	}
	return err
}

func (h promptHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return promptHandler{h.Handler.WithAttrs(attrs), h.w}
}

func (h promptHandler) WithGroup(name string) slog.Handler {
	return promptHandler{h.Handler.WithGroup(name), h.w}
}

package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// newLogger makes the logger of the settings.
func newLogger(w *logWriter, cfg Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "text" {
		return slog.New(promptHandler{slog.NewTextHandler(w, o), w, false})
	}
	return slog.New(promptHandler{slog.NewJSONHandler(w, o), w, true})
}

const (
	// logBuffer is how many bytes of log lines wait at most to be written, and logDelay how long.
	logBuffer = 64 << 10
	logDelay  = 100 * time.Millisecond
)

// logWriter gathers log lines: a write of its own for each costs more than to answer a request. What
// it holds is lost if the process is killed, by a second signal too.
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
	// plain tells that it writes JSON, and nothing besides a record's own attributes.
	plain bool
}

func (h promptHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.w.flush()
	}
	return err
}

func (h promptHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return promptHandler{h.Handler.WithAttrs(attrs), h.w, false}
}

func (h promptHandler) WithGroup(name string) slog.Handler {
	return promptHandler{h.Handler.WithGroup(name), h.w, false}
}

// writeLine writes what a logger of h would, without the place in the code; a line of a request in a
// third of the time.
func writeLine(ctx context.Context, h slog.Handler, at time.Time, level slog.Level, message string, attrs []slog.Attr) {
	if p, ok := h.(promptHandler); ok && p.plain && level == slog.LevelInfo {
		if line, ok := appendPlain(make([]byte, 0, 512), at, message, attrs); ok {
			_, _ = p.w.Write(line)
			return
		}
	}
	record := slog.NewRecord(at, level, message, 0)
	record.AddAttrs(slices.Clone(attrs)...) // or those of plain lines would need memory as well
	_ = h.Handle(ctx, record)
}

// appendPlain appends the line that slog's JSON handler writes for plain texts and whole numbers. ok is
// false for any other attributes.
func appendPlain(b []byte, at time.Time, message string, attrs []slog.Attr) (line []byte, ok bool) {
	b = append(b, `{"time":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"INFO"`...)
	b, ok = appendMember(b, slog.MessageKey, message)
	for i := range attrs {
		a := &attrs[i]
		switch {
		case !ok:
			return b, false
		case a.Value.Kind() == slog.KindString:
			b, ok = appendMember(b, a.Key, a.Value.String())
		case a.Value.Kind() == slog.KindInt64:
			b, ok = appendName(b, a.Key)
			b = strconv.AppendInt(b, a.Value.Int64(), 10)
		default:
			return b, false
		}
	}
	return append(b, '}', '\n'), ok
}

func appendMember(b []byte, name, text string) (longer []byte, ok bool) {
	b, ok = appendName(b, name)
	return append(append(append(b, '"'), text...), '"'), ok && isPlainText(text)
}

func appendName(b []byte, name string) (longer []byte, ok bool) {
	b = append(append(b, ',', '"'), name...)
	return append(b, '"', ':'), name != "" && isPlainText(name)
}

// isPlainText tells whether a text stands in JSON as it is.
func isPlainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	// logBuffer bounds the bytes of log lines that wait to be written, and logDelay the time they wait.
	logBuffer = 64 << 10
	logDelay  = 100 * time.Millisecond
)

// LogOptions choose what is logged, and how.
type LogOptions struct {
	Level slog.Level
	Text  bool // instead of JSON
}

// NewLogger makes a logger that writes to out in the background. flush writes what still waits; call it
// before the process ends. Warnings and errors are written at once.
func NewLogger(out io.Writer, o LogOptions) (log *slog.Logger, flush func()) {
	w := newLogWriter(out)
	options := &slog.HandlerOptions{Level: o.Level}
	var h slog.Handler = slog.NewJSONHandler(w, options)
	if o.Text {
		h = slog.NewTextHandler(w, options)
	}
	return slog.New(logHandler{h, w}), w.flush
}

// logHandler adds the id of its trace to each line of a traced request, and flushes after a warning or an
// error.
type logHandler struct {
	slog.Handler
	w *logWriter
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		r.AddAttrs(slog.String("trace_id", c.TraceID().String()))
	}
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.w.flush()
	}
	return err
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs), h.w}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.w}
}

// logWriter batches log lines, because one write for each costs more than to answer a request. A process
// that is killed loses at most logDelay of them.
type logWriter struct {
	out   io.Writer
	timer *time.Timer // runs flush

	mu      sync.Mutex
	pending []byte

	// writing is held while lines are written, so that a slow out holds up no request until the buffer is
	// full.
	writing sync.Mutex
	spare   []byte
}

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out}
	w.timer = time.AfterFunc(logDelay, w.flush)
	return w
}

// Write implements [io.Writer]. It takes whole lines. It does not report a failure of out, as there is
// nowhere else to log it.
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
		w.timer.Reset(logDelay)
	}
	w.pending = append(w.pending, line...)
	return len(line), nil
}

// flush returns once every line that was added before the call is written.
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
		w.spare = nil // do not keep the memory that one huge line took
	}
}

package callers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writeFile replaces a file atomically, as an editor of secrets should.
func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// parseWord accepts any content that does not begin with "bad".
func parseWord(content []byte) (string, error) {
	if word, bad := strings.CutPrefix(string(content), "bad"); bad {
		return "", errors.New("is bad" + word)
	}
	return string(content), nil
}

// logBuffer is a log that may be written while it is read.
type logBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (l *logBuffer) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, line...)
	return len(line), nil
}

// take returns what was written since the last time.
func (l *logBuffer) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.b
	l.b = nil
	return b
}

// TestWatchedFile changes a file in steps, with a poll after each.
func TestWatchedFile(t *testing.T) {
	path := writeFile(t, filepath.Join(t.TempDir(), "file"), "one")
	remove := func(t *testing.T) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	write := func(content string) func(*testing.T) {
		return func(t *testing.T) { writeFile(t, path, content) }
	}
	steps := []struct {
		name   string
		change func(*testing.T)
		value  string
		log    string // the level of the line that is written, with its error
	}{
		{"nothing changes", func(*testing.T) {}, "one", ""},
		{"new content", write("two"), "two", "INFO"},
		{"the same again", write("two"), "two", ""},
		{"bad content", write("bad-1"), "two", "WARN WORD is bad-1"},
		{"still bad", func(*testing.T) {}, "two", ""},
		{"bad for another reason", write("bad-2"), "two", "WARN WORD is bad-2"},
		{"gone", remove, "two", "WARN WORD cannot be read: stat " + path + ": no such file or directory"},
		{"still gone", func(*testing.T) {}, "two", ""},
		{"back as it was", write("two"), "two", "INFO"},
		{"changes again", write("three"), "three", "INFO"},
	}
	synctest.Test(t, func(t *testing.T) {
		var out logBuffer
		f, err := openWatched("WORD", path, parseWord)
		if err != nil || f.current() != "one" {
			t.Fatalf("%v", err)
		}
		stop := watch(slog.New(slog.NewJSONHandler(&out, nil)), f)
		for _, step := range steps {
			step.change(t)
			time.Sleep(watchInterval) // in the bubble's time
			synctest.Wait()
			said := ""
			for line := range bytes.Lines(out.take()) {
				var l struct{ Level, Error string }
				if err := json.Unmarshal(line, &l); err != nil {
					t.Fatal(err)
				}
				said += strings.TrimSpace(l.Level + " " + l.Error)
			}
			if f.current() != step.value || said != step.log {
				t.Errorf("%s: %q is in use and the log says %q, want %q and %q", step.name, f.current(), said, step.value, step.log)
			}
		}
		if err := stop(t.Context()); err != nil {
			t.Error(err)
		}
		write("four")(t)
		time.Sleep(2 * watchInterval)
		if f.current() != "three" { // and synctest fails if the goroutine is still there
			t.Error("the file is read after stop")
		}
	})
}

// stuck is a file that cannot be read to its end, as on a network that failed.
type stuck struct{ reading, release chan struct{} }

func (s stuck) reread(*slog.Logger) {
	close(s.reading)
	<-s.release
}

func TestWatchStopDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stuck{make(chan struct{}), make(chan struct{})}
		stop := watch(slog.New(slog.DiscardHandler), s)
		<-s.reading
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stop returns %v", err)
		}
		close(s.release)
		if err := stop(t.Context()); err != nil {
			t.Errorf("stop returns %v after the read ended", err)
		}
	})
}

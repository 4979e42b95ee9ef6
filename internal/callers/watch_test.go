package callers

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authentik-graphql/internal/servicetest"
)

// parseWord accepts any content that does not begin with "bad".
func parseWord(content []byte) (string, error) {
	if word, bad := strings.CutPrefix(string(content), "bad"); bad {
		return "", errors.New("is bad" + word)
	}
	return string(content), nil
}

// TestWatchedFile changes a file in steps, with a poll after each.
func TestWatchedFile(t *testing.T) {
	path := servicetest.WriteFile(t, filepath.Join(t.TempDir(), "file"), "one")
	remove := func(t *testing.T) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	write := func(content string) func(*testing.T) {
		return func(t *testing.T) { servicetest.WriteFile(t, path, content) }
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
		out := servicetest.NewBuffer()
		f, err := openWatched("WORD", path, parseWord)
		if err != nil || f.current() != "one" {
			t.Fatalf("%v", err)
		}
		stop := watch(slog.New(slog.NewJSONHandler(out, nil)), f)
		for _, step := range steps {
			before := len(out.Lines())
			step.change(t)
			time.Sleep(watchInterval) // in the bubble's time
			synctest.Wait()
			said := ""
			for _, line := range out.Lines()[before:] {
				why, _ := line["error"].(string)
				said += strings.TrimSpace(line["level"].(string) + " " + why)
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

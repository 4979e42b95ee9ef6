package callers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const (
	watchInterval  = 2 * time.Second
	maxWatchedFile = 4 << 20
)

// watchedFile is the parsed content of a file and follows its changes. It compares contents, not times:
// Kubernetes replaces a file by moving a symbolic link, and a moved file keeps its modification time.
type watchedFile[T any] struct {
	setting, path string
	parse         func(content []byte) (T, error) // its errors never repeat the content

	value atomic.Pointer[T]
	// Only the watching goroutine uses these two.
	digest  [sha256.Size]byte // of the content that value was parsed from
	problem string            // the last one logged; empty while the file is good
}

// openWatched reads a file. Its errors begin with the setting's name.
func openWatched[T any](setting, path string, parse func([]byte) (T, error)) (*watchedFile[T], error) {
	f := &watchedFile[T]{setting: setting, path: path, parse: parse}
	_, err := f.load()
	return f, err
}

// current returns the last good content.
func (f *watchedFile[T]) current() T { return *f.value.Load() }

// load takes over content that is good and, unless there is a problem, new.
func (f *watchedFile[T]) load() (taken bool, err error) {
	content, err := readRegular(f.path)
	if err != nil {
		return false, fmt.Errorf("%s cannot be read: %w", f.setting, err)
	}
	digest := sha256.Sum256(content)
	if digest == f.digest && f.problem == "" {
		return false, nil
	}
	value, err := f.parse(content)
	if err != nil {
		return false, fmt.Errorf("%s %w", f.setting, err)
	}
	f.value.Store(&value)
	f.digest, f.problem = digest, ""
	return true, nil
}

// reread loads the file again. If it is not good, its last good content stays in use. The log says so once for
// each problem, and once when the file is good again.
func (f *watchedFile[T]) reread(log *slog.Logger) {
	taken, err := f.load()
	switch {
	case taken:
		log.Info("file read again", "setting", f.setting, "path", f.path)
	case err != nil && err.Error() != f.problem:
		f.problem = err.Error()
		log.Warn("file cannot be used; its last good content stays in use", "setting", f.setting, "error", f.problem)
	}
}

// readRegular reads a regular file. Others may never end: opening a pipe waits for its writer.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxWatchedFile+1))
	if err == nil && len(content) > maxWatchedFile {
		err = errors.New("it is larger than 4 MiB")
	}
	return content, err
}

// watch rereads files every watchInterval until stop is called. stop waits for a running read.
func watch(log *slog.Logger, files ...interface{ reread(*slog.Logger) }) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticks := time.NewTicker(watchInterval)
		defer ticks.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
				for _, f := range files {
					f.reread(log)
				}
			}
		}
	}()
	return func(wait context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-wait.Done():
			return fmt.Errorf("a watched file is still being read: %w", wait.Err())
		}
	}
}

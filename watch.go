package main

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

// watchedFile holds what a file says and follows its changes. The content is what is compared:
// Kubernetes replaces a file by moving a symbolic link, and a file that is moved into place brings
// its own time along.
type watchedFile[T any] struct {
	setting, path string
	parse         func(content []byte) (T, error) // its errors never hold what the file does

	value atomic.Pointer[T]
	// These two are the watching goroutine's alone.
	digest  [sha256.Size]byte // of the content that value was made of
	problem string            // why the file is not used as it is, as the log says
}

// openWatched reads a file for the first time. Its errors begin with the setting's name.
func openWatched[T any](setting, path string, parse func([]byte) (T, error)) (*watchedFile[T], error) {
	f := &watchedFile[T]{setting: setting, path: path, parse: parse}
	content, err := f.read()
	if err != nil {
		return nil, err
	}
	return f, f.accept(content, sha256.Sum256(content))
}

// current is what the file said when it was last good.
func (f *watchedFile[T]) current() T { return *f.value.Load() }

// reread takes over a content that is new and good. Any other leaves the last good one in use; the
// log says so once for each reason, and once when the file is good again.
func (f *watchedFile[T]) reread(log *slog.Logger) {
	content, err := f.read()
	if err == nil {
		digest := sha256.Sum256(content)
		if digest == f.digest && f.problem == "" {
			return
		}
		err = f.accept(content, digest)
	}
	if err == nil {
		f.problem = ""
		log.Info("file read again", "setting", f.setting, "path", f.path)
		return
	}
	if problem := err.Error(); problem != f.problem {
		f.problem = problem
		log.Warn("file cannot be used, its last good content stays in use", "setting", f.setting, "error", problem)
	}
}

func (f *watchedFile[T]) accept(content []byte, digest [sha256.Size]byte) error {
	value, err := f.parse(content)
	if err != nil {
		return fmt.Errorf("%s %w", f.setting, err)
	}
	f.value.Store(&value)
	f.digest = digest
	return nil
}

func (f *watchedFile[T]) read() ([]byte, error) {
	content, err := readRegular(f.path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", f.setting, err)
	}
	return content, nil
}

// readRegular reads a file whose end is known to come: opening a pipe waits for who writes to it.
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

// watch rereads files every watchInterval until stop is called, which waits for the end of it.
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

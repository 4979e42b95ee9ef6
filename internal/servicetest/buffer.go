package servicetest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// Buffer holds output that is written and read at the same time, and that tests wait for.
type Buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	waiting map[string]chan struct{}
}

// NewBuffer returns an empty buffer.
func NewBuffer() *Buffer { return &Buffer{waiting: map[string]chan struct{}{}} }

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.b.Write(p)
	for text, found := range b.waiting {
		if strings.Contains(b.b.String(), text) {
			close(found)
			delete(b.waiting, text)
		}
	}
	return n, err
}

// Contains returns a channel that is closed once the text has been written.
func (b *Buffer) Contains(text string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.Contains(b.b.String(), text) {
		found := make(chan struct{})
		close(found)
		return found
	}
	if b.waiting[text] == nil {
		b.waiting[text] = make(chan struct{})
	}
	return b.waiting[text]
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Lines decodes the lines that are JSON.
func (b *Buffer) Lines() (lines []map[string]any) {
	for text := range strings.Lines(b.String()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// instance is the whole program as app.Run starts it, on a port of the system's choice.
type instance struct {
	URL    string
	Admin  string // of the admin listener
	Stdout *buffer
	Log    *buffer
	stop   context.CancelFunc
	done   chan error
}

// startApp runs the program with the given flags and settings and waits until it listens. The
// test's end stops it and fails if it does not stop cleanly.
func startApp(t *testing.T, args []string, settings ...string) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &instance{Stdout: newBuffer(), Log: newBuffer(), stop: cancel, done: make(chan error, 1)}
	environ := append([]string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "LOG_LEVEL=debug"}, settings...)
	go func() { a.done <- run(ctx, args, environ, a.Stdout, a.Log) }()
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Errorf("the program ended with: %v", err)
		}
	})
	select {
	case err := <-a.done:
		a.done <- err
		t.Fatalf("the program ended at once: %v\n%s", err, a.Log)
	case <-a.Log.Contains(`"msg":"listening"`):
	case <-time.After(20 * time.Second):
		t.Fatalf("the program does not listen:\n%s", a.Log)
	}
	for _, line := range a.Log.Lines() {
		if line["msg"] == "listening" {
			a.URL, a.Admin = "http://"+line["address"].(string), "http://"+line["admin_address"].(string)
		}
	}
	return a
}

// Stop ends the program as a signal would and returns what run returned. It may be called twice.
func (a *instance) Stop() error {
	a.stop()
	http.DefaultClient.CloseIdleConnections() // or the service waits for them
	select {
	case err := <-a.done:
		a.done <- err
		return err
	case <-time.After(30 * time.Second):
		return errors.New("the program does not stop")
	}
}

// startDemo runs the demo and returns its address.
func startDemo(t *testing.T) string {
	t.Helper()
	return startApp(t, []string{"-demo"}).URL
}

// fake is a fake authentik that listens.
type fake struct {
	*upstreamtest.Authentik
	URL string
}

func startFake(t *testing.T, o upstreamtest.Options) *fake {
	t.Helper()
	a := upstreamtest.New(o)
	srv := httptest.NewServer(a)
	t.Cleanup(func() { a.Close(); srv.Close() })
	return &fake{Authentik: a, URL: srv.URL}
}

// reply is an answer of the GraphQL endpoint.
type reply struct {
	Status int
	Header http.Header
	Closed bool // the server ends the connection
	Body   []byte
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Path       []any
		Extensions struct {
			Code           string
			RequestID      string
			UpstreamStatus int
			RetryAfter     int
			Limit          string
		}
	}
}

// Codes are the errors' codes, joined.
func (r reply) Codes() string {
	codes := make([]string, len(r.Errors))
	for i, e := range r.Errors {
		codes[i] = e.Extensions.Code
	}
	return strings.Join(codes, " ")
}

// query sends a document by POST with a bearer token, or none if it is empty.
func query(t *testing.T, url, token, document string) reply {
	t.Helper()
	return send(t, newQuery(t, url, token, document))
}

func newQuery(t *testing.T, url, token, document string) *http.Request {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	req := newRequest(t, http.MethodPost, url+"/graphql", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// send sends a request and decodes what it can of the answer.
func send(t *testing.T, req *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	r := reply{Status: resp.StatusCode, Header: resp.Header, Closed: resp.Close}
	if r.Body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(r.Body, &r); err != nil {
			t.Fatalf("the answer is not JSON: %v\n%s", err, r.Body)
		}
	}
	return r
}

// buffer is a log that may be written and read at once, and waited on.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	waiting map[string]chan struct{}
}

func newBuffer() *buffer { return &buffer{waiting: map[string]chan struct{}{}} }

func (b *buffer) Write(p []byte) (int, error) {
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

// Contains returns a channel that is closed when the text has been written.
func (b *buffer) Contains(text string) <-chan struct{} {
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

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Lines decodes JSON log lines.
func (b *buffer) Lines() (lines []map[string]any) {
	for text := range strings.Lines(b.String()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// must returns the content of a file of the project.
func must(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

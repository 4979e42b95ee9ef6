//go:build linux || darwin

package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream"
)

// wireServer is a server that says what a test wants, byte for byte.
type wireServer struct {
	t    *testing.T
	base *url.URL
	// sent gets each request with the number of its connection.
	mu    sync.Mutex
	sent  []string
	conns int
	ended chan int // numbers of connections that the client closed
}

// serveWire serves connections by answer, which gets the number of the connection and of the request on
// it, from 1 each, and returns whether another request is to be read.
func serveWire(t *testing.T, answer func(c net.Conn, conn, n int) (more bool)) *wireServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &wireServer{t: t, base: &url.URL{Scheme: "http", Host: ln.Addr().String()}, ended: make(chan int, 100)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			conn := s.conns
			s.mu.Unlock()
			all.Go(func() {
				defer func() { _ = c.Close() }()
				in := bufio.NewReader(c)
				for n := 1; ; n++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						s.ended <- conn
						return
					}
					s.mu.Lock()
					s.sent = append(s.sent, fmt.Sprintf("%s on %d", r.Method, conn))
					s.mu.Unlock()
					if !answer(c, conn, n) {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	return s
}

func (s *wireServer) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.sent, ", ")
}

// transport is one that ends with the test, before the server.
func (s *wireServer) transport(concurrency int) http.RoundTripper {
	t := upstream.NewTransport(s.base, concurrency)
	s.t.Cleanup((&http.Client{Transport: t}).CloseIdleConnections)
	return t
}

// send sends a request and returns the answer, whose body is to be read.
func (s *wireServer) send(ctx context.Context, t http.RoundTripper, method string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.base.String()+"/x", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return t.RoundTrip(r)
}

// ask sends a request and returns the answer's status and body.
func (s *wireServer) ask(ctx context.Context, t http.RoundTripper, method string) (string, error) {
	resp, err := s.send(ctx, t, method)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, body), err
}

// always is a server that answers each request with the same bytes.
func always(answer string) func(c net.Conn, conn, n int) (more bool) {
	return func(c net.Conn, _, _ int) bool {
		_, _ = io.WriteString(c, answer)
		return true
	}
}

func text(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// TestUnaskedAnswer: what comes on an idle connection, or after an answer, is never the answer to
// another request, which may be another caller's.
func TestUnaskedAnswer(t *testing.T) {
	for name, first := range map[string][]string{
		"with the answer":          {text("first") + text("foreign")},
		"a moment later":           {text("first"), text("foreign")},
		"one byte":                 {text("first"), "H"},
		"a time-out, said by 408":  {text("first"), "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		"more than was announced":  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"},
		"after the last chunk":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n" + text("foreign")},
		"a body where none may be": {"HTTP/1.1 204 No Content\r\n\r\nforeign"},
	} {
		t.Run(name, func(t *testing.T) {
			read, said := make(chan bool), make(chan bool)
			s := serveWire(t, func(c net.Conn, conn, _ int) bool {
				if conn > 1 {
					_, _ = io.WriteString(c, text("second"))
					return true
				}
				_, _ = io.WriteString(c, first[0])
				<-read
				for _, more := range first[1:] {
					_, _ = io.WriteString(c, more)
				}
				close(said)
				return true
			})
			tr := s.transport(4)
			if got, err := s.ask(t.Context(), tr, http.MethodGet); err != nil || got != "200 first" && got != "204 " {
				t.Errorf("%q, %v", got, err)
			}
			close(read)
			<-said
			if got, err := s.ask(t.Context(), tr, http.MethodGet); err != nil || got != "200 second" {
				t.Errorf("%q, %v", got, err)
			}
			if got := s.requests(); got != "GET on 1, GET on 2" {
				t.Error(got)
			}
		})
	}
}

// TestConnectionUsedAgain: a connection serves one request after the other, if its answer says that it
// may and was read to its end.
func TestConnectionUsedAgain(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
	for _, tt := range []struct {
		name, answer, want string
		again              bool
	}{
		{"of known length", text("abc"), "200 abc", true},
		{"empty", text(""), "200 ", true},
		{"in chunks", chunked + "\r\n", "200 abc", true},
		{"in chunks with a trailer", chunked + "X-Sum: 1\r\n\r\n", "200 abc", true},
		{"without content", "HTTP/1.1 204 No Content\r\n\r\n", "204 ", true},
		{"announced", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + text("abc"), "200 abc", true},
		{"that closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "200 abc", false},
		{"of HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 abc", false},
		{"of HTTP/1.0 that keeps", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", "200 abc", true},
		{"of another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "101 ", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveWire(t, always(tt.answer))
			tr := s.transport(4)
			for range 2 {
				if got, err := s.ask(t.Context(), tr, http.MethodGet); err != nil || got != tt.want {
					t.Errorf("%q, %v", got, err)
				}
			}
			want := "GET on 1, GET on 2"
			if tt.again {
				want = "GET on 1, GET on 1"
			}
			if got := s.requests(); got != want {
				t.Error(got)
			}
		})
	}
}

// TestBodyLeft: an answer that is not read to its end leaves no connection behind.
func TestBodyLeft(t *testing.T) {
	s := serveWire(t, always(text("abc")))
	tr := s.transport(4)
	resp, err := s.send(t.Context(), tr, http.MethodGet)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = resp.Body.Read(make([]byte, 1))
	_ = resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("after the end %d bytes, %v", n, err)
	}
	if conn := <-s.ended; conn != 1 {
		t.Errorf("connection %d has ended", conn)
	}
	if got, err := s.ask(t.Context(), tr, http.MethodGet); err != nil || got != "200 abc" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestUsedConnectionEnds: which requests are sent again when a connection that was used before ends.
func TestUsedConnectionEnds(t *testing.T) {
	for _, tt := range []struct {
		name, method, last string
		idle               bool // it ends before the request is sent
		want               string
		fails              bool
	}{
		{"idle, GET", http.MethodGet, "", true, "GET on 1, GET on 2", false},
		{"idle, DELETE", http.MethodDelete, "", true, "GET on 1, DELETE on 2", false},
		{"at once, GET", http.MethodGet, "", false, "GET on 1, GET on 1, GET on 2", false},
		{"at once, DELETE", http.MethodDelete, "", false, "GET on 1, DELETE on 1", true},
		{"after a byte, GET", http.MethodGet, "H", false, "GET on 1, GET on 1", true},
		{"within the body, GET", http.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", false, "GET on 1, GET on 1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveWire(t, func(c net.Conn, conn, n int) bool {
				if conn == 1 && n == 2 {
					_, _ = io.WriteString(c, tt.last)
					return false
				}
				_, _ = io.WriteString(c, text("abc"))
				if conn == 1 && tt.idle {
					_ = c.(*net.TCPConn).CloseWrite()
				}
				return true
			})
			tr := s.transport(4)
			if _, err := s.ask(t.Context(), tr, http.MethodGet); err != nil {
				t.Fatal(err)
			}
			if got, err := s.ask(t.Context(), tr, tt.method); (err != nil) != tt.fails || err == nil && got != "200 abc" {
				t.Errorf("%q, %v", got, err)
			}
			if got := s.requests(); got != tt.want {
				t.Error(got)
			}
		})
	}
}

// TestLongHead: an answer's head is bounded, with all that announce it.
func TestLongHead(t *testing.T) {
	for name, part := range map[string]string{
		"a line":        "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70_000),
		"lines":         "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20_000),
		"announcements": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 5000),
	} {
		s := serveWire(t, always(part))
		got, err := s.ask(t.Context(), s.transport(4), http.MethodGet)
		if err == nil || !strings.Contains(err.Error(), "head of the answer") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestRequestEnds: the end of a request's time ends its wait, with its cause, and its connection; the end
// of a request that was answered ends nothing.
func TestRequestEnds(t *testing.T) {
	cause := errors.New("the test's cause")
	for name, part := range map[string]string{"before the answer": "", "within the head": "HTTP/1.1 200", "within the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			s := serveWire(t, func(c net.Conn, conn, _ int) bool {
				if conn > 1 {
					_, _ = io.WriteString(c, text("abc"))
					return true
				}
				_, _ = io.WriteString(c, part)
				cancel(cause)
				return true
			})
			tr := s.transport(4)
			if _, err := s.ask(ctx, tr, http.MethodGet); !errors.Is(err, cause) {
				t.Errorf("%v", err)
			}
			if conn := <-s.ended; conn != 1 {
				t.Errorf("connection %d has ended", conn)
			}
			if _, err := s.ask(ctx, tr, http.MethodGet); !errors.Is(err, cause) {
				t.Errorf("%v", err)
			}
			for range 2 {
				ctx, cancel := context.WithCancel(t.Context())
				if got, err := s.ask(ctx, tr, http.MethodGet); err != nil || got != "200 abc" {
					t.Errorf("%q, %v", got, err)
				}
				cancel()
			}
			if got := s.requests(); got != "GET on 1, GET on 2, GET on 2" {
				t.Error(got)
			}
		})
	}
}

// TestIdleConnections: as many are kept as there may be calls at once, and each for a while.
func TestIdleConnections(t *testing.T) {
	arrived, both := make(chan bool), make(chan bool)
	s := serveWire(t, func(c net.Conn, _, _ int) bool {
		arrived <- true
		<-both
		_, _ = io.WriteString(c, text("abc"))
		return true
	})
	tr := s.transport(1)
	upstream.SetIdle(tr, 50*time.Millisecond)
	var asked sync.WaitGroup
	for range 2 {
		asked.Go(func() {
			if got, err := s.ask(t.Context(), tr, http.MethodGet); err != nil || got != "200 abc" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	<-arrived
	<-arrived
	close(both)
	asked.Wait()
	first, second := <-s.ended, <-s.ended // one at once, the other after its time
	if first+second != 3 {
		t.Errorf("connections %d and %d have ended", first, second)
	}
}

// TestClosed: a connection that becomes idle after the idle ones were closed is not kept, until the next
// request.
func TestClosed(t *testing.T) {
	s := serveWire(t, always(text("abc")))
	tr := s.transport(4)
	resp, err := s.send(t.Context(), tr, http.MethodGet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	(&http.Client{Transport: tr}).CloseIdleConnections()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "abc" {
		t.Errorf("%q, %v", body, err)
	}
	if conn := <-s.ended; conn != 1 {
		t.Errorf("connection %d has ended", conn)
	}
	for range 2 {
		if got, err := s.ask(t.Context(), tr, http.MethodGet); err != nil || got != "200 abc" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got := s.requests(); got != "GET on 1, GET on 2, GET on 2" {
		t.Error(got)
	}
}

// TestAddresses: what net/http takes for an address is none of another server.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"http://127.0.0.1": "*upstream.direct", "http://127.0.0.1:": "*upstream.direct", "http://[::1]:": "*upstream.direct",
		"http://b\u00fccher.example": "*http.Transport", "https://127.0.0.1": "*http.Transport",
	} {
		base, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		tr := upstream.NewTransport(base, 1)
		if got := fmt.Sprintf("%T", tr); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("the test's cause")
		cancel(cause) // before anything is looked up
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := tr.RoundTrip(r); !errors.Is(err, cause) {
			if err == nil {
				_ = resp.Body.Close()
			}
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestAnotherServer: a connection to authentik carries nothing that is for another server.
func TestAnotherServer(t *testing.T) {
	s := serveWire(t, func(c net.Conn, _, _ int) bool { return false })
	tr := s.transport(1)
	for _, address := range []string{"http://localhost:1/x", "https://" + s.base.Host, "http://" + s.base.Host + "0/"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := tr.RoundTrip(r); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s is asked", address)
		}
	}
}

// FuzzAnswers: whatever a server says is understood as http.Transport does.
func FuzzAnswers(f *testing.F) {
	for _, answer := range []string{
		text("abc"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.0 404 Not Found\r\n\r\nabc", "",
		"HTTP/1.1 100 Continue\r\n\r\n" + text("abc"), "HTTP/1.1 204 No Content\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "SSH-2.0-x\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n X: y\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\nabc", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nabc", "HTTP/0.0 000 00000\n\n",
	} {
		f.Add([]byte(answer))
	}
	var mu sync.Mutex
	var answer []byte
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = c.Write(answer)
				}
			}()
		}
	}()
	base := &url.URL{Scheme: "http", Host: ln.Addr().String()}
	ask := func(tr http.RoundTripper) string {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
		if err != nil {
			return err.Error()
		}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			return "no answer"
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return "101"
		}
		body, err := io.ReadAll(resp.Body)
		return fmt.Sprintf("%d %v %d %q %t", resp.StatusCode, resp.Header, resp.ContentLength, body, err == nil)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 32<<10 {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		answer = said
		plain := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
		defer plain.CloseIdleConnections()
		want := ask(plain)
		tr := upstream.NewTransport(base, 1)
		defer (&http.Client{Transport: tr}).CloseIdleConnections()
		if got := ask(tr); got != want {
			t.Errorf("%q: %s, and by http.Transport %s", said, got, want)
		}
	})
}

package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	// idleTimeout is how long a connection is kept that nobody uses.
	idleTimeout = 30 * time.Second
	// maxHead bounds what an answer may have before its body.
	maxHead = 64 << 10
)

// direct is an [http.RoundTripper] for one server over plain TCP that sends a request and reads its
// answer in the goroutine that asks. [http.Transport] has two more for each connection, and handing
// over to them and back takes a seventh of the CPU of a request that calls authentik.
//
// One of those two watches the connection while it is idle, which matters: what comes there unasked
// would be taken for the answer to the next request, which may be another caller's. Here the
// connection is looked at before each request, and one that is not silent is not used. TLS may hold
// back what has come, so there http.Transport is used.
//
// A request without a body is sent again where http.Transport does so: on another connection, if the one
// that it was sent on had been used before and ended without a byte of an answer, and if it is a GET or
// nothing of it was sent.
type direct struct {
	host    string // as it is in URLs
	address string
	dialer  net.Dialer
	limit   int // of idle connections
	idleFor time.Duration

	mu     sync.Mutex
	idle   []*wire     // the one that was used last is the last
	sweep  *time.Timer // runs while one is idle
	closed bool        // none is to be kept, until the next is asked for
}

// wire is a connection.
type wire struct {
	net.Conn
	raw   syscall.RawConn
	probe probe
	in    *bufio.Reader
	out   *bufio.Writer
	since time.Time // when it became idle
	head  int       // how many bytes of an answer's head may still come; negative for a body
	// What has passed since the request began.
	sent, received bool
}

var (
	errHead      = errors.New("the head of the answer is over the size cap")
	errElsewhere = errors.New("this transport is for another server")
)

// RoundTrip implements [http.RoundTripper].
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if r.URL.Scheme != "http" || r.URL.Host != d.host {
		return nil, errElsewhere
	}
	for {
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		w, used, err := d.connect(r.Context())
		if err != nil {
			return nil, because(r, err)
		}
		resp, err := d.exchange(w, r)
		if err == nil {
			return resp, nil
		}
		if !used || w.received || w.sent && r.Method != http.MethodGet || r.Body != nil || r.Context().Err() != nil {
			return nil, because(r, err)
		}
	}
}

// because is why a request failed: that its time is over, if it is.
func because(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return context.Cause(r.Context())
	}
	return err
}

// connect returns a connection on which nothing is under way, and whether it was used before.
func (d *direct) connect(ctx context.Context) (w *wire, used bool, err error) {
	for w := d.take(false); w != nil; w = d.take(false) {
		if w.silent() {
			return w, true, nil
		}
		_ = w.Close()
	}
	c, err := d.dialer.DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, false, err
	}
	w = &wire{Conn: c}
	w.raw, err = c.(syscall.Conn).SyscallConn()
	if err != nil {
		_ = c.Close()
		return nil, false, err
	}
	w.in, w.out = bufio.NewReader(w), bufio.NewWriter(w)
	return w, false, nil
}

// exchange sends a request and reads the head of its answer. The connection ends with an error.
func (d *direct) exchange(w *wire, r *http.Request) (*http.Response, error) {
	w.sent, w.received, w.head = false, false, maxHead
	// The end of the request's time ends what waits for the connection.
	stop := context.AfterFunc(r.Context(), func() { _ = w.SetDeadline(time.Unix(1, 0)) })
	resp, err := w.ask(r)
	if err != nil {
		if w.head == 0 { // what was cut there looks like many things
			err = errHead
		}
		stop()
		_ = w.Close()
		return nil, err
	}
	w.head = -1
	body := &wireBody{Reader: resp.Body, direct: d, wire: w, stop: stop, resp: resp}
	resp.Body = body
	if body.Reader == http.NoBody {
		body.end(true, io.EOF)
	}
	return resp, nil
}

// ask writes a request and reads the head of its answer, after those that announce it (1xx).
func (w *wire) ask(r *http.Request) (resp *http.Response, err error) {
	if err = r.Write(w.out); err == nil {
		err = w.out.Flush()
	}
	for err == nil {
		resp, err = http.ReadResponse(w.in, r)
		if err == nil && (resp.StatusCode < 100 || resp.StatusCode > 199 || resp.StatusCode == http.StatusSwitchingProtocols) {
			break
		}
	}
	return resp, err
}

// Read implements [io.Reader].
func (w *wire) Read(p []byte) (int, error) {
	if w.head == 0 {
		return 0, errHead
	}
	if w.head > 0 {
		p = p[:min(len(p), w.head)]
	}
	n, err := w.Conn.Read(p)
	if w.head > 0 {
		w.head -= n
	}
	w.received = w.received || n > 0
	return n, err
}

// Write implements [io.Writer].
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.sent = w.sent || n > 0
	return n, err
}

// wireBody is an answer's body, at whose end the connection is free. Closed before, it ends the
// connection.
type wireBody struct {
	io.Reader
	direct *direct
	wire   *wire
	resp   *http.Response
	stop   func() bool
	// err is what further reads get once ended tells that the connection may be another request's.
	err   error
	ended bool
}

// Read implements [io.Reader].
func (b *wireBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, b.err
	}
	n, err := b.Reader.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // as io.Reader has it
		b.end(true, err)
	case err != nil:
		err = because(b.resp.Request, err)
		b.end(false, err)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *wireBody) Close() error {
	b.end(false, http.ErrBodyReadAfterClose)
	return nil
}

// end frees the connection after a whole answer, if it may be used again, or closes it.
func (b *wireBody) end(whole bool, err error) {
	if b.ended {
		return
	}
	b.ended, b.err = true, err
	inTime := b.stop() // else its deadline is set, or is about to be
	if !inTime || !whole || b.resp.Close || b.resp.StatusCode == http.StatusSwitchingProtocols || b.wire.in.Buffered() > 0 {
		_ = b.wire.Close()
		return
	}
	b.direct.put(b.wire)
}

// take takes the connection that was used last, nil if there is none. closed tells that none is to be kept.
func (d *direct) take(closed bool) *wire {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = closed
	last := len(d.idle) - 1
	if last < 0 {
		return nil
	}
	w := d.idle[last]
	d.idle[last] = nil
	d.idle = d.idle[:last]
	return w
}

// put keeps a connection for the next request.
func (d *direct) put(w *wire) {
	w.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.idle) == d.limit {
		_ = w.Close()
		return
	}
	d.idle = append(d.idle, w)
	if d.sweep == nil {
		d.sweep = time.AfterFunc(d.idleFor, d.closeOld)
	}
}

// closeOld closes the connections that were idle for too long, and comes again for the others.
func (d *direct) closeOld() {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := 0
	for ; old < len(d.idle) && time.Since(d.idle[old].since) >= d.idleFor; old++ {
		_ = d.idle[old].Close()
	}
	d.idle = append(d.idle[:0], d.idle[old:]...)
	clear(d.idle[len(d.idle):cap(d.idle)])
	d.sweep = nil
	if len(d.idle) > 0 {
		d.sweep = time.AfterFunc(d.idleFor-time.Since(d.idle[0].since), d.closeOld)
	}
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (d *direct) CloseIdleConnections() {
	for w := d.take(true); w != nil; w = d.take(true) {
		_ = w.Close()
	}
}

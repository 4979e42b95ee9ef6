package upstreamtest

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// capture holds an answer back so that a fault can spoil it.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) WriteHeader(status int)      { c.status = status }
func (c *capture) Write(b []byte) (int, error) { return c.body.Write(b) }

// captured is the proper answer, never compressed.
func captured(r *http.Request, next http.Handler) *capture {
	r = r.Clone(r.Context())
	r.Header.Del("Accept-Encoding")
	c := &capture{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(c, r)
	return c
}

// start sends status and headers, promising a body of that length.
func (c *capture) start(w http.ResponseWriter, length int) {
	maps.Copy(w.Header(), c.header)
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(c.status)
}

func serveWrongPK(w http.ResponseWriter, r *http.Request, next http.Handler) {
	c := captured(r, next)
	body := c.body.Bytes()
	if rest, ok := bytes.CutPrefix(body, []byte(`{"pk":`)); ok {
		pk, tail, _ := bytes.Cut(rest, []byte(","))
		n, _ := parseInt(string(pk))
		body = fmt.Appendf(nil, `{"pk":%d,%s`, n+1, tail)
	}
	c.start(w, len(body))
	_, _ = w.Write(body)
}

func serveListNoEnd(w http.ResponseWriter, r *http.Request, next http.Handler) {
	q := r.URL.Query()
	number, _ := parseInt(last(q, "page"))
	q.Del("page")
	first := r.Clone(r.Context())
	first.URL.RawQuery = q.Encode()
	c := captured(first, next)
	body := c.body.Bytes()
	if rest, ok := bytes.CutPrefix(body, []byte(`{"pagination":{"next":`)); ok {
		_, tail, _ := bytes.Cut(rest, []byte(","))
		body = fmt.Appendf(nil, `{"pagination":{"next":%d,%s`, max(number, 1)+1, tail)
	}
	c.start(w, len(body))
	_, _ = w.Write(body)
}

func serveCut(w http.ResponseWriter, r *http.Request, next http.Handler) {
	c := captured(r, next)
	c.start(w, c.body.Len())
	_, _ = w.Write(c.body.Bytes()[:c.body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // the server's way to close without the rest
}

func serveNotReady(w http.ResponseWriter, r *http.Request, next http.Handler) {
	accept, status := strings.Join(r.Header["Accept"], ","), http.StatusServiceUnavailable
	answer := canned("", status, plainType+"; charset=utf-8", textStarting)
	switch {
	case strings.Contains(accept, jsonType):
		answer = Starting503JSON
	case strings.Contains(accept, "text/html"):
		answer = canned("", status, htmlType, string(htmlPage(status)))
	}
	answer.Serve(w, r, next)
}

func serveLost(w http.ResponseWriter, r *http.Request, next http.Handler) {
	captured(r, next)
	serveNotReady(w, r, next)
}

func serveSlowBody(w http.ResponseWriter, r *http.Request, next http.Handler, d time.Duration) {
	const parts = 10
	c := captured(r, next)
	c.start(w, c.body.Len())
	body, control := c.body.Bytes(), http.NewResponseController(w)
	_ = control.Flush()
	for i := range parts {
		wait(r.Context(), d/parts)
		if _, err := w.Write(body[len(body)*i/parts : len(body)*(i+1)/parts]); err != nil {
			return
		}
		_ = control.Flush()
	}
}

func serveHang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler) // else the server would send an empty 200
}

func serveReset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	closeConn(w, true)
}

func serveDropKeptAlive(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if connRequests(r.Context()) > 1 {
		closeConn(w, false)
		return
	}
	next.ServeHTTP(w, r)
}

// closeConn ends the connection without an answer, by a reset if asked to.
func closeConn(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 and recorders: the nearest there is
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func serveEndless(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	const pause = 10 * time.Millisecond
	w.Header().Set("Content-Type", jsonType)
	control := http.NewResponseController(w)
	chunk := `{"pk":1,"scope":["openid"`
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(chunk)); err != nil {
			return
		}
		_ = control.Flush()
		chunk = `,"openid"`
		wait(r.Context(), pause)
	}
	panic(http.ErrAbortHandler)
}

func serveHuge(w http.ResponseWriter, r *http.Request, size int64) {
	const head, tail = `{"pk":1,"provider":{"pk":1},"user":{"pk":1},"scope":["`, `"]}`
	w.Header().Set("Content-Type", jsonType)
	chunk := []byte(strings.Repeat("a", 64<<10))
	if _, err := w.Write([]byte(head)); err != nil {
		return
	}
	for left := size; left > 0 && r.Context().Err() == nil; left -= int64(len(chunk)) {
		if _, err := w.Write(chunk[:min(left, int64(len(chunk)))]); err != nil {
			return
		}
	}
	_, _ = w.Write([]byte(tail))
}

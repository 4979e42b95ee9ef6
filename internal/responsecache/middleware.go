package responsecache

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"slices"

	"authentik-graphql/cache"
)

// Larger requests are answered without the cache.
const (
	maxBody   = 16 << 10 // also of the URL
	maxHeader = 256      // of each header line that decides the response
)

// deciders are the header fields that, with the method, the URL, the credential and the body, decide a
// response. Anything else that decides it must be settled before the middleware.
var deciders = []string{"Accept", "Accept-Encoding", "Content-Type"}

// Middleware answers a request with the cached response to an equal one, or as next does. A successful
// response of next is cached if next allows that.
func (c *Cache) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := c.Request(r.Context())
		caller := request.CallerDigest()
		if caller == (cache.Caller{}) || !cacheable(r) {
			next.ServeHTTP(w, r)
			return
		}
		buffer := c.buffers.Get().(*[]byte)
		defer c.buffers.Put(buffer)
		key, body, err := readRequest((*buffer)[:0], r, caller)
		*buffer = key
		if err != nil { // which next meets as well
			next.ServeHTTP(w, withBody(r, body))
			return
		}
		now := c.Now() // not earlier: the body may have taken seconds
		if cached := c.get(key, now); cached != nil {
			request.Replay(w.Header(), cached.Provenance, now)
			cached.writeTo(w)
			return
		}
		rec := &recorder{ResponseWriter: w, request: request, varyBefore: len(w.Header()["Vary"])}
		next.ServeHTTP(rec, withBody(r, body))
		if rec.response != nil && !rec.cut {
			c.put(key, rec.response)
		}
	})
}

// cacheable reports whether a request is small and decided by what its key holds. It leaves out requests
// that wait to be asked for their body: next may refuse them without it.
func cacheable(r *http.Request) bool {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost,
		r.ContentLength < 0, r.ContentLength > maxBody, len(r.RequestURI) > maxBody,
		len(r.Header["Content-Encoding"]) > 0, len(r.Header["Expect"]) > 0:
		return false
	}
	for _, name := range deciders {
		if lines := r.Header[name]; len(lines) > 1 || len(lines) == 1 && len(lines[0]) > maxHeader {
			return false
		}
	}
	return true
}

// readRequest reads a request's body and appends the request's key to key: the caller and all that decides
// the response. The body is a part of that. With an error the body is what arrived of it.
func readRequest(key []byte, r *http.Request, caller cache.Caller) (_, body []byte, err error) {
	key = appendPart(append(key, caller[:]...), r.Method)
	key = appendPart(key, r.RequestURI)
	for _, name := range deciders {
		line := ""
		if lines := r.Header[name]; len(lines) > 0 {
			line = lines[0]
		}
		key = appendPart(key, line)
	}
	start, length := len(key), int(r.ContentLength)
	key = slices.Grow(key, length)[:start+length]
	n, err := io.ReadFull(r.Body, key[start:])
	return key, key[start : start+n], err
}

// appendPart appends a part with its length, so that no two lists of parts make one key.
func appendPart(key []byte, part string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(part))), part...)
}

// replayableBody gives what was read of a body, and then the rest.
type replayableBody struct {
	io.Reader
	io.Closer
}

// withBody is a request whose body begins with what was read of it.
func withBody(r *http.Request, read []byte) *http.Request {
	replayed := *r
	replayed.Body = replayableBody{io.MultiReader(bytes.NewReader(read), r.Body), r.Body}
	return &replayed
}

func (r *response) writeTo(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = r.contentType, r.contentLength
	if r.contentEncoding != nil {
		h["Content-Encoding"] = r.contentEncoding
	}
	h["Vary"] = append(h["Vary"], r.vary...)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(r.body)
}

// recorder passes a response on, and records it if it may be cached.
type recorder struct {
	http.ResponseWriter
	request    Request
	varyBefore int // lines of Vary that are not next's
	wrote      bool
	response   *response // nil if it may not
	// cut reports that the client left: what compresses a response stops then, and its body is not whole.
	cut bool
}

func (w *recorder) WriteHeader(status int) {
	if !w.wrote && status == http.StatusOK {
		w.response = w.begin()
	}
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) begin() *response {
	p := w.request.Provenance()
	if p == nil {
		return nil
	}
	h := w.Header()
	return &response{
		contentType: slices.Clone(h["Content-Type"]), contentEncoding: slices.Clone(h["Content-Encoding"]),
		vary: slices.Clone(h["Vary"][w.varyBefore:]), Provenance: p,
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.response != nil {
		w.response.body = append(w.response.body, b...)
	}
	n, err := w.ResponseWriter.Write(b)
	w.cut = w.cut || err != nil
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

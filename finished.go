package main

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"authentik-graphql/answers"
	"authentik-graphql/cache"
	"authentik-graphql/graph"
)

// What a request may take at most that is compared as it was sent. A larger one is answered as well,
// by way of GraphQL.
const (
	maxPlainBody  = 16 << 10
	maxPlainField = 256
)

// finished answers a request that equals another one, byte for byte, with what that was answered
// with, before anything of it is decoded. What it does not answer goes on as if it had not been
// read.
type finished struct {
	store      *answers.Store
	maxBody    int64
	limiter    *rateLimiter
	protection *http.CrossOriginProtection
	now        func() time.Time
	texts      sync.Pool // of *[]byte
}

func newFinished(s *service) *finished {
	return &finished{
		store: s.answers, maxBody: int64(s.cfg.Body), limiter: s.limiter, protection: s.protection, now: s.cfg.now,
		texts: sync.Pool{New: func() any { return new([]byte) }},
	}
}

// answer answers a request that has a finished answer. It does all that stands before one: the
// protection of other origins, the rate limit, and the limits of what is sent.
func (f *finished) answer(x *exchange, r *http.Request) bool {
	if f == nil || x.req.Digest == (cache.Caller{}) || r.URL.Path != graphqlPath || !isPlain(r, f.maxBody) || f.protection.Check(r) != nil {
		return false
	}
	if x.allowed = x.allowed || f.limiter.allows(&x.req, r.RemoteAddr); !x.allowed {
		return false
	}
	sent := f.texts.Get().(*[]byte)
	if x.body = readPlain(r, sent); x.body.err != nil {
		return false
	}
	now := f.now() // not when the request began: its body may have taken seconds
	a, ok := f.store.GetAgain(lastOf(r), x.req.Digest, *sent, now)
	if !ok {
		x.sent = sent
		return false
	}
	f.texts.Put(sent)
	graph.WriteFinished(x, &x.req, a, now)
	return true
}

// handler answers as next does. What next answers with a finished answer is kept as the answer to the
// request as it was sent; not at once, because most requests of some clients come only once.
func (f *finished) handler(next http.Handler) http.Handler {
	if f == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := r.Context().Value(exchangeKey{}).(*exchange)
		if x.body == nil {
			if f.answer(x, r) {
				return
			}
			x.restore(r)
		}
		if x.sent == nil {
			next.ServeHTTP(w, r)
			return
		}
		defer f.texts.Put(x.sent)
		rec := &recorder{ResponseWriter: w, vary: len(w.Header()["Vary"])}
		next.ServeHTTP(rec, r)
		if a := x.req.Replayed(); a != nil && rec.status == http.StatusOK && !rec.cut {
			f.store.Keep(x.req.Digest, *x.sent, rec.finish(a))
		}
	})
}

// restore lets a body be read that was read before.
func (x *exchange) restore(copied *http.Request) {
	if x.body != nil {
		x.body.Closer = copied.Body
		copied.Body = x.body
	}
}

// jsonTypes are the usual ways to say that a body is JSON; others are read by the transport.
var jsonTypes = []string{"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8", "application/json; charset=UTF-8", "application/json;charset=UTF-8"}

// isPlain tells whether what decides a request's answer is its method, URL, Accept, Accept-Encoding,
// credential and body alone, and whether those are small. A GET with a credential cannot come from
// another site unasked.
func isPlain(r *http.Request, maxBody int64) bool {
	switch {
	case r.Method == http.MethodPost:
		types := r.Header["Content-Type"]
		if len(types) != 1 || !slices.Contains(jsonTypes, types[0]) || r.ContentLength <= 0 {
			return false
		}
	case r.Method != http.MethodGet || r.ContentLength != 0:
		return false
	}
	return r.ContentLength <= min(maxPlainBody, maxBody) && len(r.RequestURI) <= maxPlainBody &&
		len(r.Header["Content-Encoding"]) == 0 && len(r.Header["Expect"]) == 0 &&
		isShort(r.Header["Accept"]) && isShort(r.Header["Accept-Encoding"]) && graph.AllowHead(r)
}

func isShort(lines []string) bool {
	return len(lines) == 0 || len(lines) == 1 && len(lines[0]) <= maxPlainField
}

// readPlain reads the body and makes text what the request was sent as.
func readPlain(r *http.Request, text *[]byte) *again {
	t := (*text)[:0]
	t = answers.AppendPart(t, r.Method)
	t = answers.AppendPart(t, r.RequestURI)
	for _, lines := range [][]string{r.Header["Accept"], r.Header["Accept-Encoding"]} {
		line := ""
		if len(lines) > 0 {
			line = lines[0]
		}
		t = answers.AppendPart(t, line)
	}
	at, length := len(t), int(r.ContentLength)
	t = slices.Grow(t, length)[:at+length]
	n, err := io.ReadFull(r.Body, t[at:])
	*text = t
	return &again{rest: t[at : at+n], err: err}
}

// again is a body that was read before.
type again struct {
	io.Closer
	rest []byte
	err  error // that came after it
}

// Whole is what was read, if that was all, so that nobody needs to copy it.
func (b *again) Whole() ([]byte, bool) { return b.rest, b.err == nil }

func (b *again) Read(p []byte) (int, error) {
	if len(b.rest) > 0 {
		n := copy(p, b.rest)
		b.rest = b.rest[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	return 0, io.EOF
}

// recorder passes an answer on and remembers its status and, if it is compressed, its body.
type recorder struct {
	http.ResponseWriter
	vary    int // how many lines of Vary were there before
	status  int
	encoded []byte
	// cut tells that the client left: what compresses an answer stops then, and encoded is a part of it.
	cut bool
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.Header()["Content-Encoding"] != nil {
		w.encoded = append(w.encoded, b...)
	}
	n, err := w.ResponseWriter.Write(b)
	w.cut = w.cut || err != nil
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish is the finished answer as it went out: compressed if it was, with what that added to the header
// fields.
func (w *recorder) finish(a *answers.Answer) *answers.Answer {
	h := w.Header()
	sent := &answers.Answer{
		Fields: make([]answers.Field, 0, len(a.Fields)+1),
		Body:   a.Body, Freshness: a.Freshness, Marks: a.Marks,
		OperationType: a.OperationType, OperationName: a.OperationName,
	}
	for _, f := range a.Fields {
		switch f.Name {
		case "Content-Length": // made anew
			continue
		case "Vary":
			f.Lines = slices.Clone(h["Vary"][w.vary:])
		}
		sent.Fields = append(sent.Fields, f)
	}
	if w.encoded != nil {
		sent.Body = answers.Body(w.encoded)
		sent.Fields = append(sent.Fields, answers.Field{Name: "Content-Encoding", Lines: slices.Clone(h["Content-Encoding"])})
	}
	sent.Fields = append(sent.Fields, answers.Field{Name: "Content-Length", Lines: []string{strconv.Itoa(len(sent.Body))}})
	return sent
}

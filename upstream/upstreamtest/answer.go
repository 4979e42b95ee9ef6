package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The texts of authentik's errors that do not depend on the release.
const (
	textNotFound       = "Not found."
	textNoCredentials  = "Authentication credentials were not provided."
	textBadToken       = "Token invalid/expired"
	textBadScheme      = "Unsupported authentication type"
	textForbidden      = "You do not have permission to perform this action."
	textNotAcceptable  = "Could not satisfy the request Accept header."
	textInvalidPage    = "Invalid page."
	textInvalidChoice  = "Select a valid choice. That choice is not one of the available choices."
	textInvalidRequest = "Invalid HTTP request received."
	textThrottled      = "Request was throttled. Expected available in 60 seconds."
	textStarting       = "authentik starting"
	textBackendDown    = "failed to connect to authentik backend: "
)

// What the Allow header says of grants, and of the page of an error.
const (
	allowList   = "GET, HEAD, OPTIONS"
	allowObject = "GET, DELETE, HEAD, OPTIONS"
)

const htmlType = "text/html; charset=utf-8"

// reply is a finished answer, not yet sent.
type reply struct {
	status   int
	mime     string
	allow    string
	location string
	vary     string
	body     []byte
	origin   origin
}

// origin is the part of authentik that an answer comes from; each part on the
// way adds its headers.
type origin int

const (
	fromCore   origin = iota
	fromServer        // the core's web server, which knows nothing of the API
	fromRouter        // the router, without asking the core
)

// json makes an answer of the API.
func (a *Authentik) json(status int, allow string, v any) reply {
	return reply{status: status, mime: a.options.Release.jsonType(), allow: allow, body: encode(v)}
}

// detail makes the usual error answer.
func (a *Authentik) detail(status int, allow, text string) reply {
	return a.json(status, allow, object{{"detail", text}})
}

// page makes authentik's HTML error page. That page knows only GET, so every
// unsafe method gets an empty 405 in its place, whatever went wrong.
func page(method string, status int) reply {
	switch method {
	case http.MethodGet, http.MethodHead:
		return reply{status: status, mime: htmlType, body: htmlPage(status)}
	case http.MethodOptions:
		return reply{status: http.StatusOK, mime: htmlType, allow: allowList}
	default:
		return reply{status: http.StatusMethodNotAllowed, mime: htmlType, allow: allowList}
	}
}

func htmlPage(status int) []byte {
	text := http.StatusText(status)
	return fmt.Appendf(nil, "<!DOCTYPE html>\n<html><head><title>%s - authentik</title></head><body><h1>%s</h1></body></html>\n", text, text)
}

// plain makes an answer of the web server or the router itself.
func plain(status int, text string, o origin) reply {
	return reply{status: status, mime: "text/plain; charset=utf-8", body: []byte(text), origin: o}
}

// write sends an answer with the headers the release adds to it.
func (a *Authentik) write(w http.ResponseWriter, r *http.Request, p reply) {
	h := w.Header()
	if p.origin != fromRouter && a.options.Release.router() {
		h.Set("X-Powered-By", "authentik")
		h.Add("Vary", "Accept-Encoding")
	}
	if p.origin == fromCore {
		a.coreHeaders(h)
	}
	own := map[string]string{"Content-Type": p.mime, "Allow": p.allow, "Location": p.location, "Vary": p.vary}
	for name, value := range own {
		if value != "" {
			h.Set(name, value)
		}
	}
	body := p.body
	if len(body) > 0 && p.origin == fromCore && r.Method != http.MethodHead && a.compresses(r) {
		body = compress(body)
		h.Set("Content-Encoding", "gzip")
	}
	if p.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(p.status)
	// A client that left is no concern of the server's.
	_, _ = w.Write(body)
}

// coreHeaders adds what every answer of the core carries.
func (a *Authentik) coreHeaders(h http.Header) {
	h.Set("X-authentik-id", requestID())
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if !a.options.Release.from(R2025_12) {
		h.Add("Vary", "Cookie")
		return
	}
	h.Add("Vary", "Accept-Language, Cookie")
	h.Set("Content-Language", "en")
}

// compresses reports whether the answer is sent with gzip: only the router does.
func (a *Authentik) compresses(r *http.Request) bool {
	return a.options.Release.router() && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	// Writes to a bytes.Buffer do not fail.
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}

func requestID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails, by its documentation
	return hex.EncodeToString(id[:])
}

package upstreamtest

import (
	"net/http"
	"strconv"
	"time"
)

// Fault is a way to answer wrongly. Serve gets the request and next, which
// gives the proper answer. The request's context ends when the client leaves or
// when [Authentik.Close] is called; a Serve that waits must watch it. Faults
// have no state and may be set for several ids and several fakes at once.
type Fault struct {
	Name  string
	Serve func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

const (
	jsonType  = "application/json"
	plainType = "text/plain"
	unixDown  = textBackendDown + "dial unix /dev/shm/authentik-core.sock: connect: connection refused"
)

// Refusals. TokenInvalid403, Forbidden403 and BadRequest400 are authentik's own
// words; Status401 and Throttled429 come, with a token, only from a proxy in
// front of it.
var (
	Status401        = canned("status-401", http.StatusUnauthorized, jsonType, detailBody(textNoCredentials), "WWW-Authenticate", `Bearer realm="proxy"`)
	Forbidden403     = canned("forbidden-403", http.StatusForbidden, jsonType, detailBody(textForbidden), "Allow", allowObject)
	TokenInvalid403  = canned("token-invalid-403", http.StatusForbidden, jsonType, detailBody(textBadToken), "Allow", allowObject)
	BadRequest400    = canned("bad-request-400", http.StatusBadRequest, jsonType, `{"user":["`+textInvalidChoice+`"]}`, "Allow", allowObject)
	NotAcceptable406 = canned("not-acceptable-406", http.StatusNotAcceptable, jsonType, detailBody(textNotAcceptable), "Allow", allowObject)
	Throttled429     = canned("throttled-429", http.StatusTooManyRequests, jsonType, detailBody(textThrottled), "Retry-After", "60")
)

// Failures inside authentik. Error500 is what a database that is down looks
// like; as every HTML error it turns into Empty405 for unsafe methods.
var (
	Error500 = pageFault("error-500", http.StatusInternalServerError)
	Empty405 = canned("empty-405", http.StatusMethodNotAllowed, htmlType, "", "Allow", allowList)
)

// The core is starting. The 502 forms are those of releases up to 2025.8, where
// even the JSON one is labelled text; Starting200 is 2025.10.0 alone; the 503
// forms are those of later releases up to 2026.5, chosen there by the Accept
// header.
var (
	Starting502Text = canned("starting-502-text", http.StatusBadGateway, plainType+"; charset=utf-8", textBackendDown+textStarting)
	Starting502JSON = canned("starting-502-json", http.StatusBadGateway, plainType+"; charset=utf-8", errorBody(textBackendDown+textStarting))
	Starting200     = canned("starting-200", http.StatusOK, jsonType, errorBody(textStarting), "Retry-After", "5")
	Starting503JSON = canned("starting-503-json", http.StatusServiceUnavailable, jsonType, errorBody(textStarting), "Retry-After", "5")
	Starting503Text = canned("starting-503-text", http.StatusServiceUnavailable, plainType, textStarting, "Retry-After", "5")
	Starting503HTML = canned("starting-503-html", http.StatusServiceUnavailable, "text/html", string(htmlPage(http.StatusServiceUnavailable)), "Retry-After", "5")
)

// The core has died and the router still answers.
var (
	BackendDown502JSON = canned("backend-down-502-json", http.StatusBadGateway, jsonType, errorBody(unixDown))
	BackendDown502Text = canned("backend-down-502-text", http.StatusBadGateway, plainType, unixDown)
)

// The server of 2026.8, which stands in place of the router, never answers 502.
var (
	// NotReady503 is its answer while the core is not ready or cannot be reached,
	// whatever the method, in the form that the Accept header asks for.
	NotReady503 = Fault{Name: "not-ready-503", Serve: serveNotReady}
	// Lost503 performs the request and answers as NotReady503, as if the core had
	// gone away before its answer.
	Lost503 = Fault{Name: "lost-503", Serve: serveLost}
	// Timeout408 is its answer when the core takes too long.
	Timeout408 = canned("timeout-408", http.StatusRequestTimeout, "", "")
)

// Answers that are not the API's: a wrong base URL, a login page in front, a
// proxy that knows no such host.
var (
	HTML404     = pageFault("html-404", http.StatusNotFound)
	Text404     = canned("text-404", http.StatusNotFound, plainType+"; charset=utf-8", "404 page not found\n")
	HTML200     = canned("html-200", http.StatusOK, htmlType, "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form method=\"post\"></form></body></html>\n")
	Redirect301 = canned("redirect-301", http.StatusMovedPermanently, "", "", "Location", "/api/v3/oauth2/")
	Redirect302 = canned("redirect-302", http.StatusFound, "", "", "Location", "/if/flow/default-authentication-flow/?next=/")
)

// Bodies a decoder must not take for a code.
var (
	Empty200    = canned("empty-200", http.StatusOK, jsonType, "")
	WrongJSON   = canned("wrong-json", http.StatusOK, jsonType, `{"pk": 1, "provider": <nothing here is JSON>`)
	WrongArray  = canned("wrong-array", http.StatusOK, jsonType, `[{"pk":1}]`)
	WrongObject = canned("wrong-object", http.StatusOK, jsonType, `{"pagination":{"count":0},"results":[]}`)
	// WrongPK changes the id of a proper row; other answers pass.
	WrongPK = Fault{Name: "wrong-pk", Serve: serveWrongPK}
	// CutJSON promises more bytes than it sends before it closes the connection.
	CutJSON = Fault{Name: "cut-json", Serve: serveCut}
)

// Lists a client must not take for the end, or for a list at all.
var (
	// ListPageGone is what a page answers that was there a moment ago.
	ListPageGone     = canned("list-page-gone", http.StatusNotFound, jsonType, detailBody(textInvalidPage), "Allow", allowList)
	ListNoPagination = canned("list-no-pagination", http.StatusOK, jsonType, `{"results":[]}`, "Allow", allowList)
	ListNoResults    = canned("list-no-results", http.StatusOK, jsonType, listBody(`{}`), "Allow", allowList)
	ListRowNoPK      = canned("list-row-no-pk", http.StatusOK, jsonType, listBody(`[{"scope":[]}]`), "Allow", allowList)
	// ListNoEnd gives the first page for every page and says that there is a next
	// one; answers that are no list pass.
	ListNoEnd = Fault{Name: "list-no-end", Serve: serveListNoEnd}
)

// Connections that fail.
var (
	// Hang gives no answer until the client leaves or Close is called.
	Hang = Fault{Name: "hang", Serve: serveHang}
	// Reset resets the connection before any byte of an answer.
	Reset = Fault{Name: "reset", Serve: serveReset}
	// DropKeptAlive answers the first request of a connection and closes it
	// without an answer on a later one, as a worker that replaces itself does.
	// Requests before the fault was set count.
	DropKeptAlive = Fault{Name: "drop-kept-alive", Serve: serveDropKeptAlive}
	// Endless begins a proper looking answer and goes on with it, a little at a
	// time, until the client leaves or Close is called.
	Endless = Fault{Name: "endless", Serve: serveEndless}
)

// Huge streams a well-formed code of at least that many bytes.
func Huge(size int64) Fault {
	return Fault{Name: "huge", Serve: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		serveHuge(w, r, size)
	}}
}

// SlowHeaders waits before the proper answer begins.
func SlowHeaders(d time.Duration) Fault {
	return Fault{Name: "slow-headers", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		wait(r.Context(), d)
		next.ServeHTTP(w, r)
	}}
}

// SlowBody sends the headers of the proper answer at once and its body in ten
// parts spread over d.
func SlowBody(d time.Duration) Fault {
	return Fault{Name: "slow-body", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		serveSlowBody(w, r, next, d)
	}}
}

// ListFaults returns the faults that only make sense for lists, for tests that go
// through them by name. Those of Faults can be set for lists too.
func ListFaults() []Fault {
	return []Fault{ListPageGone, ListNoPagination, ListNoResults, ListRowNoPK, ListNoEnd}
}

// Faults returns all other faults, those with a parameter in a usual form, for
// tests that go through them by name.
func Faults() []Fault {
	return []Fault{
		Status401, Forbidden403, TokenInvalid403, BadRequest400, NotAcceptable406, Throttled429,
		Error500, Empty405,
		Starting502Text, Starting502JSON, Starting200, Starting503JSON, Starting503Text, Starting503HTML,
		BackendDown502JSON, BackendDown502Text,
		NotReady503, Lost503, Timeout408,
		HTML404, Text404, HTML200, Redirect301, Redirect302,
		Empty200, WrongJSON, WrongArray, WrongObject, WrongPK, CutJSON,
		Hang, Reset, DropKeptAlive, Endless,
		Huge(256 << 20), SlowHeaders(time.Second), SlowBody(time.Second),
	}
}

// canned is a fault that always gives the same answer; headers are pairs of
// name and value.
func canned(name string, status int, mime, body string, headers ...string) Fault {
	return Fault{Name: name, Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		h := w.Header()
		if mime != "" {
			h.Set("Content-Type", mime)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}}
}

// pageFault is authentik's HTML error page.
func pageFault(name string, status int) Fault {
	return Fault{Name: name, Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		p := page(r.Method, status)
		headers := []string{}
		if p.allow != "" {
			headers = append(headers, "Allow", p.allow)
		}
		canned(name, p.status, p.mime, string(p.body), headers...).Serve(w, r, next)
	}}
}

func detailBody(text string) string { return `{"detail":"` + text + `"}` }

// listBody is a list of one row, whatever results holds.
func listBody(results string) string {
	return `{"pagination":` + string(encode(pageOf{count: 1, number: 1, pages: 1, end: 1}.object())) + `,"results":` + results + `}`
}

func errorBody(text string) string { return `{"error":"` + text + `"}` }

package graph

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	doclimits "authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/jsondepth"
)

// params are the parameters of a request (GraphQL over HTTP, section 5), with those by which it may
// name its document instead of holding it.
type params struct {
	graphql.RawParams
	// hash is extensions.persistedQuery.sha256Hash, as it was sent.
	hash string
	// documentID is documentId.
	documentID string
}

// wire is the JSON form of the parameters.
type wire struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     jsontext.Value `json:"variables"`
	Extensions    wireExtensions `json:"extensions"`
	DocumentID    string         `json:"documentId"`
}

type wireExtensions struct {
	PersistedQuery *struct {
		Version    int    `json:"version"`
		SHA256Hash string `json:"sha256Hash"`
	} `json:"persistedQuery"`
}

// fault is what is wrong with a request before it is GraphQL.
type fault struct {
	status int
	err    *apierror.Error
}

func refused(status int, code, message string) *fault {
	return &fault{status, apierror.New(code, message)}
}

func badRequest(message string) *fault {
	return refused(http.StatusBadRequest, apierror.BadRequest, message)
}

// readParams reads the parameters of a GET or POST. Nothing that was sent is repeated in a fault.
func (t transport) readParams(r *http.Request, hold *hold) (*params, *fault) {
	start := graphql.Now()
	var w *wire
	var f *fault
	switch r.Method {
	case http.MethodPost:
		w, f = t.readPost(r, hold)
	case http.MethodGet:
		w, f = readGet(r)
	default:
		return nil, refused(http.StatusMethodNotAllowed, apierror.MethodNotAllowed, "This endpoint takes GET and POST.")
	}
	if f != nil {
		return nil, f
	}
	p := &params{documentID: w.DocumentID}
	p.Query, p.OperationName = w.Query, w.OperationName
	if p.Variables, f = readVariables(w.Variables); f != nil {
		return nil, f
	}
	if q := w.Extensions.PersistedQuery; q != nil {
		if q.Version != 1 || q.SHA256Hash == "" {
			return nil, badRequest("extensions.persistedQuery needs version 1 and a sha256Hash.")
		}
		p.hash = q.SHA256Hash
	}
	if p.Query == "" && p.hash == "" && p.documentID == "" {
		return nil, badRequest("The request has no query.")
	}
	p.Headers = r.Header
	p.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return p, nil
}

// CheckHead refuses requests whose URL or header lines are larger than the limits.
func CheckHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := checkHead(r); f != nil {
			writeError(w, r, f.status, f.err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func checkHead(r *http.Request) *fault {
	if len(r.RequestURI) > MaxURL {
		return &fault{http.StatusRequestURITooLong, asCode(apierror.URITooLong, apierror.Over("MAX_URL", MaxURL, "The URL has more bytes"))}
	}
	if headerBytes(r) > MaxHeaders {
		return &fault{http.StatusRequestHeaderFieldsTooLarge, asCode(apierror.HeadersTooLarge, apierror.Over("MAX_HEADERS", MaxHeaders, "The headers have more bytes"))}
	}
	return nil
}

// asCode gives a limit's error the code that goes with its HTTP status.
func asCode(code string, e *apierror.Error) *apierror.Error {
	e.Code = code
	return e
}

// headerBytes is what the header lines take on the wire, at least.
func headerBytes(r *http.Request) int {
	n := 0
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + len(": \r\n")
		}
	}
	return n
}

// readPost reads a JSON body. Any other content type is refused: a browser sends the simple ones
// to other sites without asking first.
func (t transport) readPost(r *http.Request, hold *hold) (*wire, *fault) {
	if !isJSONType(r.Header) {
		return nil, refused(http.StatusUnsupportedMediaType, apierror.UnsupportedMediaType, "Send the request as application/json.")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, refused(http.StatusUnsupportedMediaType, apierror.UnsupportedMediaType, "Send the body without a Content-Encoding.")
	}
	body, f := t.readBody(r, hold)
	if f != nil {
		return nil, f
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) > 0 && body[0] == '[' {
		return nil, refused(http.StatusBadRequest, apierror.BatchingNotSupported, "Batches are not supported; send one operation a request.")
	}
	w := &wire{}
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, w) != nil {
		return nil, badRequest("The body must be one JSON object in UTF-8, with query, operationName, variables, extensions and documentId each of its type and no name twice.")
	}
	return w, nil
}

// readBody reads a body for which there is room.
func (t transport) readBody(r *http.Request, hold *hold) ([]byte, *fault) {
	length := r.ContentLength
	if length > int64(t.limits.Body) { // before anything of it is asked for or read
		return nil, bodyFault(&http.MaxBytesError{}, t.limits)
	}
	if length < 0 {
		length = int64(t.limits.Body)
	}
	if !hold.reach(r.Context(), t.bodies, length) {
		return nil, noRoom()
	}
	var body []byte
	var err error
	if r.ContentLength >= 0 {
		body = make([]byte, length)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(r.Body)
	}
	if err != nil {
		return nil, bodyFault(err, t.limits)
	}
	return body, nil
}

func bodyFault(err error, limits Limits) *fault {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &fault{http.StatusRequestEntityTooLarge, asCode(apierror.PayloadTooLarge, apierror.Over("MAX_BODY", limits.Body, "The body has more bytes"))}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refused(http.StatusRequestTimeout, apierror.RequestTimeout, "The body did not arrive in time.")
	}
	return badRequest("The body could not be read.")
}

// preflightHeaders are those that make a browser ask before it sends a cross-site GET.
var preflightHeaders = []string{"Authorization", "Apollo-Require-Preflight", "X-Apollo-Operation-Name"}

func readGet(r *http.Request) (*wire, *fault) {
	if !preflighted(r.Header) {
		return nil, badRequest("A GET needs one of these headers, against cross-site requests: Authorization, Apollo-Require-Preflight, X-Apollo-Operation-Name.")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("The URL's parameters cannot be read.")
	}
	w := &wire{}
	for name, into := range map[string]any{
		"query": &w.Query, "operationName": &w.OperationName, "documentId": &w.DocumentID,
		"variables": &w.Variables, "extensions": &w.Extensions,
	} {
		values := query[name]
		if len(values) > 1 {
			return nil, badRequest("The parameter " + name + " is there more than once.")
		}
		if len(values) == 0 || values[0] == "" {
			continue
		}
		if text, ok := into.(*string); ok {
			*text = values[0]
		} else if json.Unmarshal([]byte(values[0]), into) != nil {
			return nil, badRequest("The parameter " + name + " is not a JSON object, or has a name twice.")
		}
	}
	return w, nil
}

// rawNumbers makes numbers of unknown type ones that keep their digits.
var rawNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, into *any) error {
	if dec.PeekKind() != jsontext.KindNumber {
		return errors.ErrUnsupported // which leaves the value to the package
	}
	digits, err := dec.ReadValue()
	*into = stdjson.Number(digits)
	return err
}))

// readVariables decodes the variables' JSON, which is known to be well formed. Numbers keep their
// digits.
func readVariables(raw jsontext.Value) (map[string]any, *fault) {
	switch {
	case len(raw) == 0 || raw.Kind() == 'n':
		return nil, nil
	case raw.Kind() != '{':
		return nil, badRequest("variables must be a JSON object.")
	case len(raw) > doclimits.MaxVariables:
		return nil, &fault{http.StatusBadRequest, apierror.Over("MAX_VARIABLES", doclimits.MaxVariables, "The variables have more bytes")}
	case jsondepth.Of(raw)-1 > doclimits.MaxValueDepth:
		return nil, &fault{http.StatusBadRequest, apierror.Over("MAX_VALUE_DEPTH", doclimits.MaxValueDepth, "The variables nest lists and objects deeper")}
	}
	var variables map[string]any
	if err := json.Unmarshal(raw, &variables, rawNumbers); err != nil {
		return nil, badRequest("variables must be a JSON object.")
	}
	return variables, nil
}

func preflighted(h http.Header) bool {
	for _, name := range preflightHeaders {
		if len(h[name]) > 0 {
			return true
		}
	}
	return isJSONType(h)
}

// isJSONType tells whether the one Content-Type is JSON in UTF-8.
func isJSONType(h http.Header) bool {
	lines := h["Content-Type"]
	if len(lines) != 1 {
		return false
	}
	if lines[0] == typeJSON { // as nearly everyone writes it
		return true
	}
	mediaType, params, err := mime.ParseMediaType(lines[0])
	charset := strings.ToLower(params["charset"])
	return err == nil && mediaType == typeJSON && (charset == "" || charset == "utf-8")
}

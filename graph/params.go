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

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/jsondepth"
)

// params are the parameters of a request (GraphQL over HTTP, section 5). The document may be named
// rather than sent.
type params struct {
	document      document.Query
	operationName string
	variables     map[string]any
}

// wireParams is the JSON form of the parameters.
type wireParams struct {
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

func badRequest(message string) *apierror.Error { return apierror.New(apierror.BadRequest, message) }

// readParams reads the parameters of a GET or POST. No error repeats what was sent.
func (t transport) readParams(r *http.Request, memory *reservation) (*params, *apierror.Error) {
	var w *wireParams
	var err *apierror.Error
	switch r.Method {
	case http.MethodPost:
		w, err = t.readPost(r, memory)
	case http.MethodGet:
		w, err = readGet(r)
	default:
		err = apierror.New(apierror.MethodNotAllowed, "This endpoint takes GET and POST.")
	}
	if err != nil {
		return nil, err
	}
	p := &params{document: document.Query{Text: w.Query, ID: w.DocumentID}, operationName: w.OperationName}
	if p.variables, err = readVariables(w.Variables); err != nil {
		return nil, err
	}
	if q := w.Extensions.PersistedQuery; q != nil {
		if q.Version != 1 || q.SHA256Hash == "" {
			return nil, badRequest("extensions.persistedQuery needs version 1 and a sha256Hash.")
		}
		p.document.Hash = q.SHA256Hash
	}
	if p.document == (document.Query{}) {
		return nil, badRequest("The request has no query.")
	}
	return p, nil
}

// readPost reads a JSON body. It refuses any other content type: a browser sends the simple ones to
// other sites without a preflight.
func (t transport) readPost(r *http.Request, memory *reservation) (*wireParams, *apierror.Error) {
	if !isJSONType(r.Header) {
		return nil, apierror.New(apierror.UnsupportedMediaType, "Send the request as application/json.")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, apierror.New(apierror.UnsupportedMediaType, "Send the body without a Content-Encoding.")
	}
	body, err := t.readBody(r, memory)
	if err != nil {
		return nil, err
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) > 0 && body[0] == '[' {
		return nil, apierror.New(apierror.BatchingNotSupported, "Batches are not supported; send one operation a request.")
	}
	w := &wireParams{}
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, w) != nil {
		return nil, badRequest("The body must be one JSON object in UTF-8, with query, operationName, variables, extensions and documentId each of its type and no name twice.")
	}
	return w, nil
}

// readBody reads a body once memory is reserved for it.
func (t transport) readBody(r *http.Request, memory *reservation) ([]byte, *apierror.Error) {
	length := r.ContentLength
	if length > int64(t.limits.Body) { // before any of it is reserved or read
		return nil, t.bodyTooLarge()
	}
	if length < 0 {
		length = int64(t.limits.Body)
	}
	if !memory.reserve(r.Context(), t.bodies, length) {
		return nil, overloaded()
	}
	body, err := io.ReadAll(r.Body)
	if err == nil && int64(len(body)) >= r.ContentLength {
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, t.bodyTooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, apierror.New(apierror.RequestTimeout, "The body did not arrive in time.")
	}
	return nil, badRequest("The body could not be read.")
}

func (t transport) bodyTooLarge() *apierror.Error {
	return apierror.OverAs(apierror.PayloadTooLarge, "MAX_BODY", t.limits.Body, "The body has more bytes")
}

func readGet(r *http.Request) (*wireParams, *apierror.Error) {
	if !preflighted(r.Header) {
		return nil, badRequest("A GET needs one of these headers, against cross-site requests: Authorization, Apollo-Require-Preflight, X-Apollo-Operation-Name.")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("The URL's parameters cannot be read.")
	}
	w := &wireParams{}
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

// preflighted reports whether a browser sends a preflight before such a GET to another site.
func preflighted(h http.Header) bool {
	for _, name := range []string{"Authorization", "Apollo-Require-Preflight", "X-Apollo-Operation-Name"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return isJSONType(h)
}

// isJSONType reports whether the one Content-Type is JSON in UTF-8.
func isJSONType(h http.Header) bool {
	lines := h["Content-Type"]
	if len(lines) != 1 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(lines[0])
	charset := strings.ToLower(params["charset"])
	return err == nil && mediaType == typeJSON && (charset == "" || charset == "utf-8")
}

// rawNumbers decodes numbers of unknown type as [stdjson.Number], which gqlgen takes and which keeps
// their digits.
var rawNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, into *any) error {
	if dec.PeekKind() != jsontext.KindNumber {
		return errors.ErrUnsupported // which leaves the value to the package
	}
	digits, err := dec.ReadValue()
	*into = stdjson.Number(digits)
	return err
}))

// readVariables decodes the variables' JSON, which is known to be well formed.
func readVariables(raw jsontext.Value) (map[string]any, *apierror.Error) {
	switch {
	case len(raw) == 0 || raw.Kind() == 'n':
		return nil, nil
	case raw.Kind() != '{':
		return nil, badRequest("variables must be a JSON object.")
	case len(raw) > document.MaxVariables:
		return nil, apierror.Over("MAX_VARIABLES", document.MaxVariables, "The variables have more bytes")
	case jsondepth.Of(raw)-1 > document.MaxValueDepth:
		return nil, apierror.Over("MAX_VALUE_DEPTH", document.MaxValueDepth, "The variables nest lists and objects deeper")
	}
	var variables map[string]any
	if err := json.Unmarshal(raw, &variables, rawNumbers); err != nil {
		return nil, badRequest("variables must be a JSON object.")
	}
	return variables, nil
}

package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"authentik-graphql/upstream"
)

// The media types of an answer. They differ in the status of a request that was not executed:
// 200 with JSON, which says nothing of GraphQL, and 400 with the other.
const (
	typeJSON     = "application/json"
	typeResponse = "application/graphql-response+json"
)

// transport speaks GraphQL over HTTP (the GraphQL Foundation's specification of that name) for
// GET and POST. gqlgen's own transports repeat a malformed body in the error, read without limit,
// answer an ended deadline with a bare null, and put "data": null where no data may be.
type transport struct {
	now func() time.Time
}

var _ graphql.Transport = transport{}

// Supports implements [graphql.Transport]: what is wrong with a request is said by Do.
func (transport) Supports(*http.Request) bool { return true }

// Do implements [graphql.Transport].
func (t transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	contentType, ok := negotiate(r.Header["Accept"])
	if !ok {
		WriteError(w, r, http.StatusNotAcceptable, CodeNotAcceptable, "This endpoint answers application/json or application/graphql-response+json.")
		return
	}
	params, fault := readParams(r)
	if fault != nil {
		if fault.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, POST")
		}
		WriteError(w, r, fault.status, fault.code, fault.message)
		return
	}
	t.execute(w, r, exec, params, contentType)
}

// execute runs one operation and writes its answer.
func (t transport) execute(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, params *graphql.RawParams, contentType string) {
	ctx := r.Context()
	req := FromContext(ctx)
	status := http.StatusOK
	opCtx, errs := exec.CreateOperationContext(ctx, params)
	if op := operation(opCtx, params); op != nil {
		req.noteOperation(string(op.Operation), op.Name)
		if r.Method == http.MethodGet && op.Operation != ast.Query {
			w.Header().Set("Allow", "POST")
			WriteError(w, r, http.StatusMethodNotAllowed, CodeMethodNotAllowed, "Only queries run by GET; send this by POST.")
			return
		}
	}
	var resp *graphql.Response
	if len(errs) != 0 {
		if contentType == typeResponse {
			status = http.StatusBadRequest
		}
		resp = exec.DispatchError(graphql.WithOperationContext(ctx, opCtx), errs)
	} else {
		handler, ctx := exec.DispatchOperation(ctx, opCtx)
		resp = handler(ctx)
	}
	if resp == nil { // the context ended before there was an answer
		status = http.StatusGatewayTimeout
		e := public[upstream.Timeout]
		resp = &graphql.Response{Errors: gqlerror.List{present(ctx, &e)}}
	}
	if stale := req.setFreshness(w.Header(), len(resp.Errors) > 0, t.now()); stale != nil {
		if resp.Extensions == nil {
			resp.Extensions = map[string]any{}
		}
		resp.Extensions["cache"] = stale
	}
	write(w, status, contentType, encode(resp))
}

// operation returns the operation that was asked for, nil if there is none. One that is not valid
// is parsed again here: a mutation by GET is refused as such, whatever else is wrong with it.
func operation(opCtx *graphql.OperationContext, params *graphql.RawParams) *ast.OperationDefinition {
	if opCtx != nil && opCtx.Operation != nil {
		return opCtx.Operation
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: params.Query}, maxTokens)
	if err != nil {
		return nil
	}
	return doc.Operations.ForName(params.OperationName)
}

// encode writes a response. Data is absent, not null, where nothing was executed, and is taken as
// it is: encoding/json would scan it a second time.
func encode(resp *graphql.Response) []byte {
	b := make([]byte, 0, len(resp.Data)+512)
	b = append(b, '{')
	if len(resp.Errors) > 0 {
		b = appendMember(b, "errors", resp.Errors)
	}
	if resp.Data != nil {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, `"data":`...)
		b = append(b, resp.Data...)
	}
	if len(resp.Extensions) > 0 {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendMember(b, "extensions", resp.Extensions)
	}
	return append(b, '}', '\n')
}

func appendMember(b []byte, key string, v any) []byte {
	value, err := json.Marshal(v)
	if err != nil { // only our own strings and numbers are in there
		value = []byte("null")
	}
	b = append(b, '"')
	b = append(b, key...)
	b = append(b, `":`...)
	return append(b, value...)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{contentType + "; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteError answers a request that is no GraphQL request with a GraphQL-shaped error. The message
// must be a constant: nothing that was sent is repeated.
func WriteError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	contentType, ok := negotiate(r.Header["Accept"])
	if !ok {
		contentType = typeJSON
	}
	e := present(r.Context(), &Error{Code: code, Message: message})
	w.Header()["Cache-Control"] = []string{"no-store"}
	write(w, status, contentType, encode(&graphql.Response{Errors: gqlerror.List{e}}))
}

// fault is what is wrong with a request before it is GraphQL.
type fault struct {
	status        int
	code, message string
}

func badRequest(message string) *fault {
	return &fault{http.StatusBadRequest, CodeBadRequest, message}
}

func readParams(r *http.Request) (*graphql.RawParams, *fault) {
	start := graphql.Now()
	var params *graphql.RawParams
	var f *fault
	switch r.Method {
	case http.MethodPost:
		params, f = readPost(r)
	case http.MethodGet:
		params, f = readGet(r)
	default:
		return nil, &fault{http.StatusMethodNotAllowed, CodeMethodNotAllowed, "This endpoint takes GET and POST."}
	}
	if f != nil {
		return nil, f
	}
	if params.Query == "" {
		return nil, badRequest("The request has no query.")
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return params, nil
}

// readPost reads a JSON body. Any other content type is refused: a browser sends the simple ones
// to other sites without asking first.
func readPost(r *http.Request) (*graphql.RawParams, *fault) {
	if !isJSONType(r.Header.Get("Content-Type")) {
		return nil, &fault{http.StatusUnsupportedMediaType, CodeUnsupportedMediaType, "Send the request as application/json."}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyFault(err)
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) > 0 && body[0] == '[' {
		return nil, &fault{http.StatusBadRequest, CodeBatchingNotSupported, "Batches are not supported; send one operation a request."}
	}
	params := &graphql.RawParams{}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(params); err != nil {
		return nil, badRequest("The body is not a JSON object with query, operationName, variables and extensions.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, badRequest("The body holds more than one JSON value.")
	}
	return params, nil
}

func bodyFault(err error) *fault {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &fault{http.StatusRequestEntityTooLarge, CodePayloadTooLarge, "The body is larger than 64 KiB."}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &fault{http.StatusRequestTimeout, CodeBadRequest, "The body did not arrive in time."}
	}
	return badRequest("The body could not be read.")
}

// preflightHeaders are those that make a browser ask before it sends a cross-site GET.
var preflightHeaders = []string{"Authorization", "Apollo-Require-Preflight", "X-Apollo-Operation-Name"}

func readGet(r *http.Request) (*graphql.RawParams, *fault) {
	if !preflighted(r.Header) {
		return nil, badRequest("A GET needs one of these headers, against cross-site requests: Authorization, Apollo-Require-Preflight, X-Apollo-Operation-Name.")
	}
	query := r.URL.Query()
	params := &graphql.RawParams{Query: query.Get("query"), OperationName: query.Get("operationName")}
	for name, into := range map[string]*map[string]any{"variables": &params.Variables, "extensions": &params.Extensions} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(into); err != nil {
			return nil, badRequest("The parameter " + name + " is not a JSON object.")
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, badRequest("The parameter " + name + " is not a JSON object.")
		}
	}
	return params, nil
}

func preflighted(h http.Header) bool {
	for _, name := range preflightHeaders {
		if len(h[name]) > 0 {
			return true
		}
	}
	return isJSONType(h.Get("Content-Type"))
}

func isJSONType(contentType string) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(params["charset"])
	return err == nil && mediaType == typeJSON && (charset == "" || charset == "utf-8")
}

// negotiate picks the media type of the answer (RFC 9110, section 12.5.1): the better liked of
// the two, JSON where both are or where nothing is said.
func negotiate(accept []string) (contentType string, ok bool) {
	list := strings.Join(accept, ",")
	if strings.TrimSpace(list) == "" {
		return typeJSON, true
	}
	plain, response := quality(list, typeJSON), quality(list, typeResponse)
	switch {
	case response > plain:
		return typeResponse, true
	case plain > 0:
		return typeJSON, true
	}
	return "", false
}

// quality is how much an Accept list likes a media type, by its most specific range. A type that
// is named outranks, at the same q, one that only a wildcard covers.
func quality(list, mediaType string) float64 {
	best, specific := 0.0, -1
	for item := range strings.SplitSeq(list, ",") {
		name, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		rank := -1
		switch name {
		case mediaType:
			rank = 2
		case "application/*":
			rank = 1
		case "*/*":
			rank = 0
		}
		if rank <= specific {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if params["q"] == "" || err != nil {
			q = 1
		}
		best, specific = q, rank
	}
	if best > 0 && specific == 2 {
		best += 1e-6
	}
	return best
}

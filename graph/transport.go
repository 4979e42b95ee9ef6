package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/telemetry/spans"
	"authentik-graphql/upstream"
)

// transport speaks GraphQL over HTTP (the GraphQL Foundation's specification of that name) for
// GET and POST. gqlgen's own transports repeat a malformed body in the error, read without limit,
// answer an ended deadline with a bare null, and put "data": null where no data may be. gqlgen's server,
// which chooses one of several, has nothing else that is of use here.
type transport struct {
	exec    *executor.Executor
	now     func() time.Time
	limits  Limits
	bodies  *room
	library library
	planner planner
	spans   *spans.Tracer
}

// ServeHTTP implements [http.Handler].
func (t transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer t.recoverPanic(w, r)
	contentType, acceptable := negotiate(r.Header["Accept"])
	var body hold
	defer body.release()
	p, f := t.readParams(r, &body)
	if f != nil {
		switch f.status {
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", "GET, POST")
		case http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable: // or net/http waits for the rest before it answers
			w.Header().Set("Connection", "close")
		}
		t.refuse(w, r, f)
		return
	}
	found := t.library.find(r.Context(), p)
	req := FromContext(r.Context())
	if op := found.operation(p.OperationName); op != nil {
		req.noteOperation(string(op.Operation), op.Name)
		if r.Method == http.MethodGet && op.Operation != ast.Query {
			w.Header().Set("Allow", "POST")
			t.refuse(w, r, refused(http.StatusMethodNotAllowed, apierror.MethodNotAllowed, "Only queries run by GET; send this by POST."))
			return
		}
		if req.ReadOnly && op.Operation == ast.Mutation {
			found.document = nil // it is not run
			found.errs = apierror.New(apierror.Forbidden, "This caller may only read.").List()
		}
	}
	switch {
	case !acceptable:
		t.refuse(w, r, refused(http.StatusNotAcceptable, apierror.NotAcceptable, "This endpoint answers application/json or application/graphql-response+json."))
	case found.fault != nil:
		t.refuse(w, r, found.fault)
	default:
		r, span := t.begin(r, p, found)
		defer func() { req.end(span) }()
		t.execute(w, r, p, found, contentType)
	}
}

// refuse answers a request that is not executed.
func (t transport) refuse(w http.ResponseWriter, r *http.Request, f *fault) {
	writeError(w, r, f.status, f.err)
}

// recoverPanic answers like any other failure what would otherwise end in gqlgen's words.
func (t transport) recoverPanic(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself, as net/http compares it
		panic(p)
	}
	writeError(w, r, http.StatusInternalServerError, &apierror.Error{Code: apierror.Internal, Message: internalMessage, Err: recovered(r.Context(), p)})
}

// execute runs one operation and writes its answer.
func (t transport) execute(w http.ResponseWriter, r *http.Request, p *params, found found, contentType string) {
	ctx := graphql.StartOperationTrace(r.Context()) // which the executor wants
	req := FromContext(ctx)
	defer req.answer.release() // once it is written
	status := http.StatusOK
	opCtx := &graphql.OperationContext{}
	errs := found.errs
	switch {
	case found.document == nil:
	case found.operation(p.OperationName) == nil:
		errs = unknownOperation(p.OperationName)
	default:
		ctx = context.WithValue(ctx, documentKey{}, found.document)
		p.Query = found.document.text
		opCtx, errs = t.exec.CreateOperationContext(ctx, &p.RawParams)
		nameVariables(errs)
		if len(errs) == 0 {
			errs = t.judge(found.document, opCtx)
		}
	}
	var resp *graphql.Response
	var ready []byte // the answer, if nothing but data is in it
	if len(errs) != 0 {
		if contentType == typeResponse {
			status = http.StatusBadRequest
		}
		resp = t.exec.DispatchError(graphql.WithOperationContext(ctx, opCtx), errs)
	} else if resp, ready = t.planner.run(ctx, found.document, opCtx); resp == nil {
		handler, ctx := t.exec.DispatchOperation(ctx, opCtx)
		resp = handler(ctx)
	}
	why := cut(req.cut.Load())
	if why == withoutRoom {
		t.refuse(w, r, noRoom())
		return
	}
	if resp == nil || why == tooLate { // the context ended before there was an answer
		status = http.StatusGatewayTimeout
		e := public[upstream.Timeout]
		resp = &graphql.Response{Errors: gqlerror.List{present(ctx, &e)}}
	}
	stale := req.setFreshness(w.Header(), len(resp.Errors) > 0 || why != whole, t.now())
	if stale != nil {
		if resp.Extensions == nil {
			resp.Extensions = map[string]any{}
		}
		resp.Extensions["cache"] = stale
	}
	answer := append(ready, '}', '\n')
	if ready == nil || len(resp.Errors) > 0 || len(resp.Extensions) > 0 {
		answer = encode(resp)
	}
	if why == tooLarge || len(answer) > int(t.limits.Answer) {
		w.Header()["Cache-Control"] = []string{"no-store"}
		e := present(ctx, apierror.Over("MAX_ANSWER", t.limits.Answer, "The answer has more bytes"))
		answer = encode(&graphql.Response{Data: json.RawMessage("null"), Errors: gqlerror.List{e}})
		resp.Errors = append(resp.Errors, e)
	}
	req.allowReplay(len(resp.Errors) == 0 && opCtx.Operation.Operation == ast.Query)
	write(w, status, contentType, answer)
	t.planner.reuse(ready)
}

// judge refuses an operation by its variables: one that costs more than is allowed, or one with a
// condition that is null, at which gqlgen panics.
func (t transport) judge(doc *document, opCtx *graphql.OperationContext) gqlerror.List {
	for _, name := range doc.conditions {
		if value, given := opCtx.Variables[name]; given && value == nil {
			return apierror.New(apierror.BadUserInput, "A variable in @skip or @include must not be null.").List()
		}
	}
	if complexity(doc.costs[opCtx.Operation], opCtx.Variables, int(t.limits.Complexity)) > int(t.limits.Complexity) {
		return apierror.Over("MAX_COMPLEXITY", t.limits.Complexity, "The operation is more complex").List()
	}
	return nil
}

// operation returns the operation that was asked for, also of a document that is not valid: a
// mutation by GET is refused as such, whatever else is wrong with it.
func (f found) operation(name string) *ast.OperationDefinition {
	if f.tree == nil {
		return nil
	}
	return f.tree.Operations.ForName(name)
}

// dataPrefix stands before the data of an answer without errors.
const dataPrefix = `{"data":`

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
		b = append(b, dataPrefix[1:]...)
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
	h["Content-Type"] = withCharset(contentType)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteError answers a request that is no GraphQL request with a GraphQL-shaped error. The message
// must be a constant: nothing that was sent is repeated.
func WriteError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	writeError(w, r, status, apierror.New(code, message))
}

// WriteRateLimited answers a request of a caller who sends more than perSecond, the value of
// RATE_LIMIT, and must wait.
func WriteRateLimited(w http.ResponseWriter, r *http.Request, perSecond float64, wait time.Duration) {
	writeError(w, r, http.StatusTooManyRequests, &apierror.Error{
		Code:       apierror.RateLimited,
		Message:    "You send more requests than RATE_LIMIT allows, which is " + strconv.FormatFloat(perSecond, 'f', -1, 64) + " a second.",
		Limit:      "RATE_LIMIT",
		RetryAfter: wait,
	})
}

func writeError(w http.ResponseWriter, r *http.Request, status int, err *apierror.Error) {
	contentType, ok := negotiate(r.Header["Accept"])
	if !ok {
		contentType = typeJSON
	}
	w.Header()["Cache-Control"] = []string{"no-store"}
	if err.RetryAfter > 0 {
		w.Header()["Retry-After"] = []string{strconv.Itoa(wholeSeconds(err.RetryAfter))}
	}
	write(w, status, contentType, encode(&graphql.Response{Errors: gqlerror.List{present(r.Context(), err)}}))
}

// unknownOperation is the error for an operationName that the document does not have, or for none
// where there is a choice. gqlgen's repeats the name.
func unknownOperation(name string) gqlerror.List {
	e := gqlerror.Errorf("The document has no operation of that name.")
	if name == "" {
		e.Message = "The document has several operations: name one of them in operationName."
	}
	errcode.Set(e, errcode.ValidationFailed)
	return gqlerror.List{e}
}

// nameVariables makes errors of variables name the variable in their message. gqlparser tells it in
// a path, variable.name.0.field, which is no path of the answer.
func nameVariables(errs gqlerror.List) {
	for _, e := range errs {
		if len(e.Path) < 2 || e.Path[0] != ast.PathName("variable") {
			continue
		}
		var at []string
		for _, element := range e.Path[2:] {
			at = append(at, fmt.Sprint(element))
		}
		variable := fmt.Sprintf(`Variable "$%s"`, e.Path[1])
		if at != nil {
			variable += " at " + strings.Join(at, ".")
		}
		what := e.Message
		if m := wrongKind.FindStringSubmatch(what); m != nil {
			kind, ok := kinds[m[1]]
			if !ok {
				kind = "this value"
			}
			what = "cannot be " + kind + ": its type is " + m[2]
		}
		e.Message, e.Path = variable+" "+what+".", nil
	}
}

// wrongKind is gqlparser's message for a value that no variable of a type can have; kinds are Go's
// words in it that tell something. A number is one of its strings.
var (
	wrongKind = regexp.MustCompile(`^cannot use (?:value )?(\S+) as (\w+)`)
	kinds     = map[string]string{"slice": "a list", "map": "an object", "bool": "true or false"}
)

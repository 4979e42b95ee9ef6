package graph

import (
	"context"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/telemetry/spans"
	"authentik-graphql/upstream"
)

// transport speaks GraphQL over HTTP (the GraphQL Foundation's specification of that name) for GET and
// POST. gqlgen's own transports repeat a malformed body in the error, read without limit, answer an
// ended deadline with a bare null, and put "data": null where no data may be.
type transport struct {
	exec      *executor.Executor
	now       func() time.Time
	limits    document.Limits
	bodies    *memoryBudget
	documents *document.Library
	planner   planner
	spans     *spans.Tracer
}

// ServeHTTP implements [http.Handler].
func (t transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer t.recoverPanic(w, r)
	contentType, acceptable := negotiate(r.Header["Accept"])
	var body reservation
	defer body.release()
	p, err := t.readParams(r, &body)
	if err != nil {
		switch err.Code {
		case apierror.MethodNotAllowed:
			w.Header().Set("Allow", "GET, POST")
		case apierror.PayloadTooLarge, apierror.Overloaded: // or net/http reads the rest before it answers
			w.Header().Set("Connection", "close")
		}
		WriteError(w, r, err)
		return
	}
	found := t.documents.Find(r.Context(), p.document)
	req := FromContext(r.Context())
	if op := found.Operation(p.OperationName); op != nil {
		req.noteOperation(string(op.Operation), op.Name)
		if r.Method == http.MethodGet && op.Operation != ast.Query {
			w.Header().Set("Allow", "POST")
			WriteError(w, r, apierror.New(apierror.MethodNotAllowed, "Only queries run by GET; send this by POST."))
			return
		}
		if req.ReadOnly && op.Operation == ast.Mutation {
			found.Errors = apierror.New(apierror.Forbidden, "This caller may only read.").List()
		}
	}
	switch {
	case !acceptable:
		WriteError(w, r, apierror.New(apierror.NotAcceptable, "This endpoint answers application/json or application/graphql-response+json."))
	case found.Refused != nil:
		WriteError(w, r, found.Refused)
	default:
		r, span := t.begin(r, p, found)
		defer func() { req.end(span) }()
		t.execute(w, r, p, found, contentType)
	}
}

// begin begins the span of an operation, and returns the request with it. An operation's name is the
// client's own text, unless its document is trusted.
func (t transport) begin(r *http.Request, p *params, found document.Result) (*http.Request, spans.Span) {
	ctx, span := t.spans.Start(r.Context(), "GraphQL operation")
	if !span.IsRecording() {
		return r, span
	}
	if op := found.Operation(p.OperationName); op != nil {
		kind := string(op.Operation)
		span.Rename(kind)
		span.Set(semconv.GraphQLOperationTypeKey, kind)
		if found.Trusted && op.Name != "" {
			span.Set(semconv.GraphQLOperationNameKey, op.Name)
		}
	}
	return r.WithContext(ctx), span
}

// recoverPanic answers a panic outside a resolver like any other failure.
func (t transport) recoverPanic(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself, as net/http compares it
		panic(p)
	}
	WriteError(w, r, &apierror.Error{Code: apierror.Internal, Message: internalMessage, Err: recovered(r.Context(), p)})
}

// execute executes one operation and writes its response.
func (t transport) execute(w http.ResponseWriter, r *http.Request, p *params, found document.Result, contentType string) {
	ctx := graphql.StartOperationTrace(r.Context()) // which the executor requires
	req := FromContext(ctx)
	defer req.response.release() // once it is written
	status := http.StatusOK
	opCtx, errs := t.prepare(&ctx, p, found)
	var resp *graphql.Response
	var planned []byte // the response, if it is nothing but data
	if len(errs) > 0 {
		if contentType == typeResponse {
			status = http.StatusBadRequest
		}
		resp = t.exec.DispatchError(graphql.WithOperationContext(ctx, opCtx), errs)
	} else if resp, planned = t.planner.execute(ctx, found.Document, opCtx); resp == nil {
		handler, ctx := t.exec.DispatchOperation(ctx, opCtx)
		resp = handler(ctx)
	}
	stopped := req.stopped()
	if stopped == outOfMemory {
		WriteError(w, r, overloaded())
		return
	}
	if resp == nil || stopped == tooLate { // the context ended before there was a response
		status = http.StatusGatewayTimeout
		timeout := public[upstream.Timeout]
		resp = &graphql.Response{Errors: gqlerror.List{present(ctx, &timeout)}}
	}
	if stale := req.setFreshness(w.Header(), len(resp.Errors) > 0 || stopped != notStopped, t.now()); stale != nil {
		resp.Extensions = map[string]any{"cache": stale}
	}
	body := append(planned, '}', '\n')
	if planned == nil || len(resp.Errors) > 0 || len(resp.Extensions) > 0 {
		body = encode(resp)
	}
	if stopped == tooLarge || len(body) > int(t.limits.Answer) {
		w.Header()["Cache-Control"] = []string{"no-store"}
		e := present(ctx, apierror.Over("MAX_ANSWER", t.limits.Answer, "The answer has more bytes"))
		body = encode(&graphql.Response{Data: []byte("null"), Errors: gqlerror.List{e}})
		resp.Errors = append(resp.Errors, e)
	}
	req.allowReplay(len(resp.Errors) == 0 && opCtx.Operation.Operation == ast.Query)
	write(w, status, contentType, body)
	t.planner.reuse(planned)
}

// prepare makes gqlgen's context of an operation, or returns why it is not executed.
func (t transport) prepare(ctx *context.Context, p *params, found document.Result) (*graphql.OperationContext, gqlerror.List) {
	switch {
	case len(found.Errors) > 0:
		return &graphql.OperationContext{}, found.Errors
	case found.Operation(p.OperationName) == nil:
		return &graphql.OperationContext{}, unknownOperation(p.OperationName)
	}
	*ctx = withDocument(*ctx, found.Document)
	p.Query = found.Document.Text
	opCtx, errs := t.exec.CreateOperationContext(*ctx, &p.RawParams)
	nameVariables(errs)
	if len(errs) == 0 {
		if err := found.Document.Operations[opCtx.Operation].Check(opCtx.Variables, int(t.limits.Complexity)); err != nil {
			errs = err.List()
		}
	}
	return opCtx, errs
}

// documentCache is the cache of documents that gqlgen asks. It holds the document that the transport
// has put into the context, so that gqlgen neither parses nor validates.
type documentCache struct{}

var _ graphql.Cache[*ast.QueryDocument] = documentCache{}

type documentKey struct{}

func withDocument(ctx context.Context, doc *document.Document) context.Context {
	return context.WithValue(ctx, documentKey{}, doc)
}

// Get implements [graphql.Cache].
func (documentCache) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	doc, ok := ctx.Value(documentKey{}).(*document.Document)
	if !ok {
		return nil, false
	}
	return doc.AST, true
}

// Add implements [graphql.Cache].
func (documentCache) Add(context.Context, string, *ast.QueryDocument) {}

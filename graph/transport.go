package graph

import (
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/telemetry/spans"
	"authentik-graphql/upstream"
)

// transport speaks GraphQL over HTTP (the GraphQL Foundation's specification of that name) for GET and
// POST. gqlgen's own transports repeat a malformed body in the error, read without limit, answer an
// ended deadline with a bare null, and put "data": null where no data may be. gqlgen's executor would
// parse and validate: the transport gives valid documents to the generated code.
type transport struct {
	schema graphql.ExecutableSchema
	interceptor
	now       func() time.Time
	limits    document.Limits
	bodies    *semaphore.Weighted
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
	if op := found.Operation(p.operationName); op != nil {
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
func (t transport) begin(r *http.Request, p *params, found document.Result) (*http.Request, trace.Span) {
	ctx, span := t.spans.Start(r.Context(), "GraphQL operation")
	if !span.IsRecording() {
		return r, span
	}
	if op := found.Operation(p.operationName); op != nil {
		kind := string(op.Operation)
		span.SetName(kind)
		span.SetAttributes(semconv.GraphQLOperationTypeKey.String(kind))
		if found.Trusted && op.Name != "" {
			span.SetAttributes(semconv.GraphQLOperationName(op.Name))
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
	ctx := graphql.WithResponseContext(r.Context(), present, recovered)
	req := FromContext(ctx)
	defer req.response.release() // once it is written
	status := http.StatusOK
	opCtx, errs := t.prepare(p, found)
	var resp *graphql.Response
	if len(errs) > 0 {
		if contentType == typeResponse {
			status = http.StatusBadRequest
		}
		for _, err := range errs {
			graphql.AddError(ctx, err)
		}
		resp = &graphql.Response{Errors: graphql.GetErrors(ctx)}
	} else if resp = t.planner.execute(ctx, found.Document, opCtx); resp == nil && ctx.Err() == nil {
		t.roots = newRoots(ctx, t.planner, opCtx)
		opCtx.ResolverMiddleware, opCtx.RootResolverMiddleware = t.intercept, t.roots.middleware
		ctx := graphql.WithOperationContext(ctx, opCtx)
		resp = t.schema.Exec(ctx)(ctx)
		resp.Errors = graphql.GetErrors(ctx)
	}
	stopped := req.stopped()
	if stopped == outOfMemory {
		WriteError(w, r, overloaded())
		return
	}
	if resp == nil || stopped == tooLate { // the context ended before there was a response
		status = http.StatusGatewayTimeout
		resp = &graphql.Response{Errors: gqlerror.List{present(ctx, upstreamForm(&upstream.Error{Kind: upstream.Timeout}))}}
	}
	if stale := req.setFreshness(w.Header(), len(resp.Errors) > 0 || stopped != notStopped, t.now()); stale != nil {
		resp.Extensions = map[string]any{"cache": stale}
	}
	body := encode(resp)
	if stopped == tooLarge || len(body) > int(t.limits.Answer) {
		w.Header()["Cache-Control"] = []string{"no-store"}
		e := present(ctx, apierror.Over("MAX_ANSWER", t.limits.Answer, "The answer has more bytes"))
		body = encode(&graphql.Response{Data: []byte("null"), Errors: gqlerror.List{e}})
		resp.Errors = append(resp.Errors, e)
	}
	req.allowReplay(len(resp.Errors) == 0 && opCtx.Operation.Operation == ast.Query)
	write(w, status, contentType, body)
}

// prepare makes gqlgen's context of an operation, or returns why it is not executed.
func (t transport) prepare(p *params, found document.Result) (*graphql.OperationContext, gqlerror.List) {
	op := found.Operation(p.operationName)
	switch {
	case len(found.Errors) > 0:
		return nil, found.Errors
	case op == nil:
		return nil, unknownOperation(p.operationName)
	}
	variables, err := validator.VariableValues(t.schema.Schema(), op, p.variables)
	if err != nil {
		return nil, invalidVariable(err)
	}
	if err := found.Document.Operations[op].Check(variables, int(t.limits.Complexity)); err != nil {
		return nil, err.List()
	}
	return &graphql.OperationContext{
		Doc:                  found.Document.AST,
		Operation:            op,
		Variables:            variables,
		DisableIntrospection: !t.introspection,
		RecoverFunc:          recovered,
	}, nil
}

package graph

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/internal/apierror"
	"authentik-graphql/upstream"
)

const internalMessage = "Something went wrong. Quote the request id."

// public is the form in which a client sees each kind of upstream error. The texts are constant:
// nothing of authentik's answer is repeated, but for the names of fields (see upstreamForm).
var public = map[upstream.Kind]apierror.Error{
	upstream.Unauthenticated: {Code: apierror.Unauthenticated, Message: "No valid token. Send one that this service accepts in the header `Authorization: Bearer ...`."},
	upstream.Forbidden:       {Code: apierror.Forbidden, Message: "authentik does not allow this."},
	upstream.NotFound:        {Code: apierror.NotFound, Message: "No such grant for you: it may be redeemed, cleaned up, or another user's."},
	upstream.BadInput:        {Code: apierror.BadUserInput, Message: "authentik rejects the request."},
	upstream.RateLimited:     {Code: apierror.RateLimited, Message: "authentik limits the rate. Try again later."},
	upstream.Failed:          {Code: apierror.UpstreamError, Message: "authentik failed to answer."},
	upstream.Unavailable:     {Code: apierror.UpstreamUnavailable, Message: "authentik cannot be reached or is starting. Try again later."},
	upstream.Timeout:         {Code: apierror.GatewayTimeout, Message: "authentik did not answer in time."},
	upstream.InvalidResponse: {Code: apierror.InvalidResponse, Message: "authentik's answer could not be understood."},
	upstream.Unlicensed:      {Code: apierror.Forbidden, Message: "authentik changes nothing: its enterprise licence has expired."},
	upstream.Internal:        {Code: apierror.Internal, Message: internalMessage},
}

// present turns any error into what the client sees, and notes it for the log.
func present(ctx context.Context, err error) *gqlerror.Error {
	req := FromContext(ctx)
	out := graphql.DefaultErrorPresenter(ctx, err)
	shown, extensions := publicForm(err)
	if argument, at := unreadable(ctx, out); argument != "" {
		shown, out.Path = &apierror.Error{Code: apierror.BadUserInput, Message: argument + " cannot be this value."}, at
		err = shown
	}
	if shown == nil { // GraphQL's own errors speak of the client's document
		shown = &apierror.Error{Code: fmt.Sprint(out.Extensions["code"]), Message: shorten(out.Message)}
	}
	extensions["code"] = shown.Code
	if req.ID != "" {
		extensions["requestId"] = req.ID
	}
	req.noteError(shown.Code, cause(err))
	return &gqlerror.Error{
		Message:    shown.Message,
		Path:       out.Path,
		Locations:  out.Locations,
		Extensions: extensions,
	}
}

// unreadable names the argument of which gqlgen could make nothing, such as a number over 32 bits or
// the name of an enum's value in lower case, which validation lets pass. Its error has the argument's
// name behind the path of the field. The name is "" for any other error.
func unreadable(ctx context.Context, e *gqlerror.Error) (argument string, field ast.Path) {
	field = graphql.GetPath(ctx)
	if len(field) == 0 || len(e.Path) <= len(field) {
		return "", nil
	}
	name, _ := e.Path[len(field)].(ast.PathName)
	return string(name), field
}

// maxOwnMessage bounds the messages that GraphQL makes, which repeat the document's names.
const maxOwnMessage = 500

// shorten ends a message that is too long, between two characters.
func shorten(message string) string {
	if len(message) <= maxOwnMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxOwnMessage], "") + "..."
}

// publicForm is the pure part of present. It returns nil for an error that GraphQL itself made.
func publicForm(err error) (*apierror.Error, map[string]any) {
	extensions := make(map[string]any, 4)
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		if e.Limit != "" {
			extensions["limit"] = e.Limit
		}
		addRetryAfter(extensions, e.RetryAfter)
		if behind, ok := errors.AsType[*upstream.Error](e.Err); ok {
			addUpstream(extensions, behind)
		}
		return e, extensions
	}
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		addUpstream(extensions, e)
		return upstreamForm(e), extensions
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		e := public[upstream.Timeout]
		return &e, extensions
	}
	if e, ok := errors.AsType[*gqlerror.Error](err); ok {
		switch e.Extensions["code"] {
		case errcode.ParseFailed, errcode.ValidationFailed:
			return nil, extensions
		}
	}
	e := public[upstream.Internal]
	return &e, extensions
}

// cause strips what GraphQL wraps around an error of ours: where in the document it happened is
// the client's business, not the log's.
func cause(err error) error {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*gqlerror.Error](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}

// addUpstream adds what a client may know of authentik's answer.
func addUpstream(extensions map[string]any, e *upstream.Error) {
	if e.Status != 0 {
		extensions["upstreamStatus"] = e.Status
	}
	addRetryAfter(extensions, e.RetryAfter)
}

func addRetryAfter(extensions map[string]any, wait time.Duration) {
	if wait > 0 {
		extensions["retryAfter"] = wholeSeconds(wait)
	}
}

// wholeSeconds rounds up: who comes back a moment too early waits once more.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

func upstreamForm(e *upstream.Error) *apierror.Error {
	shown, ok := public[e.Kind]
	if !ok {
		shown = public[upstream.Internal]
	}
	if errors.Is(e, upstream.ErrTooManyCalls) {
		shown.Message = "The list takes more calls to authentik than are allowed: its pages are small, it changes fast, or the operation asks for too many. Try again later, or for less."
	}
	switch len(e.Fields) {
	case 0:
	case 1:
		shown.Message = "authentik rejects the field: " + e.Fields[0] + "."
	default:
		shown.Message = "authentik rejects the fields: " + strings.Join(e.Fields, ", ") + "."
	}
	return &shown
}

// panicError is a panic as an error: the stack goes to the log with it.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func recovered(_ context.Context, value any) error {
	return &panicError{value: value, stack: debug.Stack()}
}

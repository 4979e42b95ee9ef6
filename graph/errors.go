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

// public has the form in which a client sees each kind of upstream error. The texts are constant: they
// repeat nothing of authentik's response but the names of fields (see upstreamForm).
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

// present turns any error into what the client sees, and records it for the log.
func present(ctx context.Context, err error) *gqlerror.Error {
	req := FromContext(ctx)
	out := graphql.DefaultErrorPresenter(ctx, err)
	if argument, at := unreadable(ctx, out); argument != "" {
		err, out.Path = apierror.New(apierror.BadUserInput, argument+" cannot be this value."), at
	}
	shown := publicForm(err)
	extensions := map[string]any{"code": shown.Code}
	if req.ID != "" {
		extensions["requestId"] = req.ID
	}
	if shown.Limit != "" {
		extensions["limit"] = shown.Limit
	}
	wait := shown.RetryAfter
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		wait = max(wait, e.RetryAfter)
		if e.Status != 0 {
			extensions["upstreamStatus"] = e.Status
		}
	}
	if wait > 0 {
		extensions["retryAfter"] = wholeSeconds(wait)
	}
	req.noteError(shown.Code, cause(err))
	return &gqlerror.Error{
		Message:    shown.Message,
		Path:       out.Path,
		Locations:  out.Locations,
		Extensions: extensions,
	}
}

// unreadable names the argument that gqlgen could not read although it is valid, such as a number over 32
// bits or the name of an enum's value in lower case. The error's path is that of the field and the
// argument's name. The name is "" for any other error.
func unreadable(ctx context.Context, e *gqlerror.Error) (argument string, field ast.Path) {
	field = graphql.GetPath(ctx)
	if len(field) == 0 || len(e.Path) <= len(field) {
		return "", nil
	}
	name, _ := e.Path[len(field)].(ast.PathName)
	return string(name), field
}

// shorten truncates a message of GraphQL's own, which repeats names of the document.
func shorten(message string) string {
	const most = 500
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "..."
}

// publicForm returns the form in which a client sees an error.
func publicForm(err error) *apierror.Error {
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return upstreamForm(e)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return upstreamForm(&upstream.Error{Kind: upstream.Timeout})
	}
	if e, ok := errors.AsType[*gqlerror.Error](err); ok {
		switch code := e.Extensions["code"]; code {
		case errcode.ParseFailed, errcode.ValidationFailed: // about the client's document
			return apierror.New(fmt.Sprint(code), shorten(e.Message))
		}
	}
	return upstreamForm(&upstream.Error{Kind: upstream.Internal})
}

// cause unwraps an error for the log. Where in the document it happened concerns the client alone.
func cause(err error) error {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*gqlerror.Error](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}

// wholeSeconds rounds up: a client that comes back too early waits a second time.
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

// recovered makes an error of a panic, with the stack for the log.
func recovered(_ context.Context, value any) error {
	return fmt.Errorf("panic: %v\n%s", value, debug.Stack())
}

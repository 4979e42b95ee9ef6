package upstream

import (
	"context"
	"errors"
	"strconv"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"authentik-graphql/internal/telemetry/spans"
)

// begin starts the span of one try of a call.
func (c *Client) begin(ctx context.Context, method, path string) (context.Context, trace.Span) {
	ctx, span := c.spans.Start(ctx, method, trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return ctx, span
	}
	template := templateOf(path)
	span.SetName(method + " " + template)
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.URLTemplate(template), semconv.ServerAddress(c.server.Hostname()))
	if port, err := strconv.Atoi(c.server.Port()); err == nil {
		span.SetAttributes(semconv.ServerPort(port))
	}
	return ctx, span
}

// templateOf is a path with {id} for each number, and without parameters.
func templateOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if _, err := strconv.Atoi(part); err == nil {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}

// end ends the span of a try with the answer's status or an *Error, and notes an answer that is not authentik's.
func (c *Client) end(ctx context.Context, span trace.Span, status int, err error) {
	c.noteForeign(ctx, err)
	if !span.IsRecording() {
		return
	}
	defer span.End()
	if e, ok := errors.AsType[*Error](err); ok {
		status = e.Status
		spans.Fail(span, strings.ReplaceAll(e.Kind.String(), " ", "_"))
	}
	if status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
}

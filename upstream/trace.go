package upstream

import (
	"context"
	"errors"
	"strconv"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"authentik-graphql/internal/telemetry/spans"
)

// begin starts the span of one try of a call.
func (c *Client) begin(ctx context.Context, method, path string) (context.Context, spans.Span) {
	ctx, span := c.spans.StartClient(ctx, method)
	if !span.IsRecording() {
		return ctx, span
	}
	template := templateOf(path)
	span.Rename(method + " " + template)
	span.Set(semconv.HTTPRequestMethodKey, method)
	span.Set(semconv.URLTemplateKey, template)
	span.Set(semconv.ServerAddressKey, c.server.Hostname())
	if port, err := strconv.Atoi(c.server.Port()); err == nil {
		span.SetInt(semconv.ServerPortKey, port)
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

// end ends the span of a try with the answer's status or an *Error.
func end(span spans.Span, status int, err error) {
	if !span.IsRecording() {
		return
	}
	defer span.End()
	if e, ok := errors.AsType[*Error](err); ok {
		status = e.Status
		span.Fail(strings.ReplaceAll(e.Kind.String(), " ", "_"))
	}
	if status != 0 {
		span.SetInt(semconv.HTTPResponseStatusCodeKey, status)
	}
}

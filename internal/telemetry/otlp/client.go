package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// firstBackoff is the pause before the first retry. It doubles with each one, up to maxBackoff.
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	// never is the pause before a retry that would be useless.
	never = -1
	// maxResponse bounds how much of the collector's response is read.
	maxResponse = 64 << 10
)

// ErrTimeout is the error of an upload that the collector did not answer in time.
var ErrTimeout = errors.New("no answer in time")

// Client uploads spans. It retries where the collector asks for it, until the upload's deadline. A printed
// Client shows neither endpoint nor headers, which may hold keys.
type Client struct {
	// Warnings name the variables whose values are not used, and say why.
	Warnings []string

	endpoint string // empty to send nothing
	header   http.Header
	gzip     bool
	http     http.Client
	stopped  chan struct{}
}

var _ otlptrace.Client = (*Client)(nil)

func newClient() *Client {
	return &Client{header: http.Header{}, stopped: make(chan struct{}), http: http.Client{
		Timeout: 10 * time.Second,
		// The headers, which may hold a key, are for the endpoint alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Enabled reports whether there is somewhere to send spans to. Nil is not enabled.
func (c *Client) Enabled() bool { return c != nil && c.endpoint != "" }

// Format implements [fmt.Formatter] for all verbs.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "OTLP enabled: %t", c.Enabled()) }

// LogValue implements [slog.LogValuer].
func (c *Client) LogValue() slog.Value { return slog.BoolValue(c.Enabled()) }

func (c *Client) warn(variable, problem string) {
	c.Warnings = append(c.Warnings, variable+" "+problem)
}

// Start implements [otlptrace.Client].
func (c *Client) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client]. It ends uploads that are running.
func (c *Client) Stop(context.Context) error {
	close(c.stopped)
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements [otlptrace.Client].
func (c *Client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := c.encode(spans)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		retryAfter, err := c.send(ctx, body)
		if retryAfter == never || !pause(ctx, max(retryAfter, backoff/2+rand.N(backoff))) {
			return err
		}
	}
}

// encode makes the body of a request. TracesData has the wire form of an ExportTraceServiceRequest, whose
// package links gRPC.
func (c *Client) encode(spans []*tracepb.ResourceSpans) ([]byte, error) {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil || !c.gzip {
		return body, err
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, err = w.Write(body)
	err = errors.Join(err, w.Close())
	return compressed.Bytes(), err
}

// send makes one request. If it fails, retryAfter is how long the collector wants to be left alone, or never.
func (c *Client) send(ctx context.Context, body []byte) (retryAfter time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return never, errors.New("the endpoint cannot be used")
	}
	req.Header = c.header.Clone()
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "OTel-OTLP-Exporter-Go/"+otlptrace.Version())
	if c.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e.Timeout() {
			return never, ErrTimeout
		}
		return never, e.Err // without the URL
	}
	defer func() { _ = resp.Body.Close() }()
	response, _ := io.ReadAll(io.LimitReader(resp.Body, maxResponse)) // the status counts even if this fails
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests, status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return readRetryAfter(resp.Header), fmt.Errorf("HTTP status %d", status)
	case status/100 != 2:
		return never, fmt.Errorf("HTTP status %d", status)
	}
	if n := rejectedSpans(response); n > 0 {
		return never, fmt.Errorf("%d spans were rejected", n)
	}
	return never, nil
}

// readRetryAfter reads a Retry-After of seconds or a date. Without one it returns 0.
func readRetryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second //nolint:gosec // it has 31 bits
	}
	at, _ := http.ParseTime(value)
	return max(0, time.Until(at))
}

// pause waits and reports true, or reports false, at once if possible, if ctx ends before the pause.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// rejectedSpans reads partial_success.rejected_spans of an ExportTraceServiceResponse. Both fields have the
// number 1, as has the one field of each wrapper.
func rejectedSpans(response []byte) int64 {
	var partialSuccess wrapperspb.BytesValue
	var rejected wrapperspb.Int64Value
	if proto.Unmarshal(response, &partialSuccess) != nil || proto.Unmarshal(partialSuccess.Value, &rejected) != nil {
		return 0
	}
	return rejected.Value
}

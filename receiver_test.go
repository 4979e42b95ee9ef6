package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector_v1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common_v1 "go.opentelemetry.io/proto/otlp/common/v1"
	trace_v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector of traces that listens by OTLP.
type receiver struct {
	collector_v1.UnimplementedTraceServiceServer
	// settings are the variables that name it; they are also set for this process, where OpenTelemetry
	// reads them.
	settings []string

	mu       sync.Mutex
	spans    []*trace_v1.Span
	resource []*common_v1.KeyValue
	bytes    bytes.Buffer // all that was sent
}

// startReceiver listens by one of the protocols until the test's end.
func startReceiver(t *testing.T, p otlpProtocol, variables ...string) *receiver {
	t.Helper()
	rc := &receiver{}
	endpoint := ""
	if p == otlpGRPC {
		ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer()
		collector_v1.RegisterTraceServiceServer(srv, rc)
		go func() { _ = srv.Serve(ln) }()
		t.Cleanup(srv.Stop)
		endpoint = "http://" + ln.Addr().String()
	} else {
		srv := httptest.NewServer(rc)
		t.Cleanup(srv.Close)
		endpoint = srv.URL
	}
	rc.settings = setTraces(t, append(variables, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL="+string(p))...)
	return rc
}

// setTraces sets variables for this process, and returns them.
func setTraces(t *testing.T, variables ...string) []string {
	t.Helper()
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	return variables
}

// ServeHTTP takes traces by HTTP.
func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	req := &collector_v1.ExportTraceServiceRequest{}
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, req) != nil {
		http.Error(w, "not traces", http.StatusBadRequest)
		return
	}
	_, _ = rc.Export(r.Context(), req)
}

// Export takes traces by gRPC.
func (rc *receiver) Export(_ context.Context, req *collector_v1.ExportTraceServiceRequest) (*collector_v1.ExportTraceServiceResponse, error) {
	sent, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.bytes.Write(sent)
	for _, of := range req.ResourceSpans {
		rc.resource = of.Resource.Attributes
		for _, in := range of.ScopeSpans {
			rc.spans = append(rc.spans, in.Spans...)
		}
	}
	return &collector_v1.ExportTraceServiceResponse{}, nil
}

// trace returns the spans of a trace in the order in which they began.
func (rc *receiver) trace(id string) []*trace_v1.Span {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	var in []*trace_v1.Span
	for _, span := range rc.spans {
		if hex.EncodeToString(span.TraceId) == id {
			in = append(in, span)
		}
	}
	slices.SortFunc(in, func(a, b *trace_v1.Span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) })
	return in
}

// tree writes the spans below a parent as lines: a point for each level, an exclamation mark for a
// failure, the kind if it is not internal, the name, and the attributes but those of every span of the
// kind.
func tree(spans []*trace_v1.Span, parent, depth string) string {
	var b strings.Builder
	for _, span := range spans {
		if hex.EncodeToString(span.ParentSpanId) != parent {
			continue
		}
		b.WriteString(depth)
		if span.Status.GetCode() == trace_v1.Status_STATUS_CODE_ERROR {
			b.WriteString("!")
		}
		switch span.Kind {
		case trace_v1.Span_SPAN_KIND_SERVER:
			b.WriteString("server ")
		case trace_v1.Span_SPAN_KIND_CLIENT:
			b.WriteString("client ")
		}
		b.WriteString(span.Name)
		for _, a := range attributes(span.Attributes) {
			if !constant(span, a) {
				b.WriteString(" " + a)
			}
		}
		b.WriteString("\n" + tree(spans, hex.EncodeToString(span.SpanId), depth+"."))
	}
	return b.String()
}

func attributes(all []*common_v1.KeyValue) (texts []string) {
	for _, a := range all {
		text := fmt.Sprint(a.Value.GetIntValue())
		if s, ok := a.Value.Value.(*common_v1.AnyValue_StringValue); ok {
			text = s.StringValue
		}
		texts = append(texts, a.Key+"="+text)
	}
	slices.Sort(texts)
	return texts
}

// constant tells the attributes that each span of its kind has.
func constant(span *trace_v1.Span, attribute string) bool {
	method, _, _ := strings.Cut(span.Name, " ")
	switch span.Kind {
	case trace_v1.Span_SPAN_KIND_SERVER:
		return slices.Contains([]string{"http.request.method=" + method, "http.route=/graphql", "url.path=/graphql", "url.scheme=http"}, attribute)
	case trace_v1.Span_SPAN_KIND_CLIENT:
		name, value, _ := strings.Cut(attribute, "=")
		return name == "server.port" || slices.Contains([]string{
			"db.system.name=redis", "db.operation.name=" + strings.TrimPrefix(span.Name, "redis "),
			"http.request.method=" + method, "server.address=127.0.0.1",
		}, attribute) || name == "url.template" && span.Name == method+" "+value
	}
	return false
}

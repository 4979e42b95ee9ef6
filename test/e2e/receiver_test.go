package e2e

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector that accepts traces by OTLP over HTTP.
type receiver struct {
	// settings are the variables that name it. They are also set for this process, as OpenTelemetry reads
	// some of them there.
	settings []string

	mu       sync.Mutex
	spans    []*tracepb.Span
	resource []*commonpb.KeyValue
	bytes    bytes.Buffer // the bodies of all requests
}

// startReceiver listens until the test's end.
func startReceiver(t *testing.T, variables ...string) *receiver {
	t.Helper()
	rc := &receiver{}
	srv := httptest.NewServer(rc)
	t.Cleanup(srv.Close)
	rc.settings = setTraces(t, append(variables, "OTEL_EXPORTER_OTLP_ENDPOINT="+srv.URL)...)
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

// ServeHTTP implements [http.Handler].
func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	traces := &tracepb.TracesData{} // which has the wire form of an export request
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, traces) != nil {
		http.Error(w, "not traces", http.StatusBadRequest)
		return
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.bytes.Write(body)
	for _, of := range traces.ResourceSpans {
		rc.resource = of.Resource.Attributes
		for _, in := range of.ScopeSpans {
			rc.spans = append(rc.spans, in.Spans...)
		}
	}
}

// trace returns the spans of a trace, ordered by their start.
func (rc *receiver) trace(id string) []*tracepb.Span {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	var in []*tracepb.Span
	for _, span := range rc.spans {
		if hex.EncodeToString(span.TraceId) == id {
			in = append(in, span)
		}
	}
	slices.SortFunc(in, func(a, b *tracepb.Span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) })
	return in
}

// tree formats the spans below a parent, one a line: a point for each level, an exclamation mark for a failure,
// the kind unless it is internal, the name, and the attributes that not every span of the kind has.
func tree(spans []*tracepb.Span, parent, depth string) string {
	var b strings.Builder
	for _, span := range spans {
		if hex.EncodeToString(span.ParentSpanId) != parent {
			continue
		}
		b.WriteString(depth)
		if span.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			b.WriteString("!")
		}
		switch span.Kind {
		case tracepb.Span_SPAN_KIND_SERVER:
			b.WriteString("server ")
		case tracepb.Span_SPAN_KIND_CLIENT:
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

func attributes(all []*commonpb.KeyValue) (texts []string) {
	for _, a := range all {
		text := fmt.Sprint(a.Value.GetIntValue())
		if s, ok := a.Value.Value.(*commonpb.AnyValue_StringValue); ok {
			text = s.StringValue
		}
		texts = append(texts, a.Key+"="+text)
	}
	slices.Sort(texts)
	return texts
}

// constant reports whether each span of its kind has the attribute.
func constant(span *tracepb.Span, attribute string) bool {
	method, _, _ := strings.Cut(span.Name, " ")
	switch span.Kind {
	case tracepb.Span_SPAN_KIND_SERVER:
		return slices.Contains([]string{"http.request.method=" + method, "http.route=/graphql", "url.path=/graphql", "url.scheme=http"}, attribute)
	case tracepb.Span_SPAN_KIND_CLIENT:
		name, value, _ := strings.Cut(attribute, "=")
		return name == "server.port" || slices.Contains([]string{
			"db.system.name=redis", "db.operation.name=" + strings.TrimPrefix(span.Name, "redis "),
			"http.request.method=" + method, "server.address=127.0.0.1",
		}, attribute) || name == "url.template" && span.Name == method+" "+value
	}
	return false
}

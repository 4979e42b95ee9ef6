package e2e

import (
	"bytes"
	"cmp"
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

	"authentik-graphql/upstream/upstreamtest"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector that accepts traces by OTLP over HTTP.
type receiver struct {
	// settings are the variables that name it. They are also set for this process, where OpenTelemetry's SDK
	// reads some of them.
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
	traces := &tracepb.TracesData{} // has the wire form of an export request
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

// tree formats the spans below a parent, one a line: a point for each level, an exclamation mark for a
// failure, the kind unless it is internal, the name, and the attributes that not every span of the kind has.
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

// TestTracesByVariables has a row for each effect of OpenTelemetry's own variables.
func TestTracesByVariables(t *testing.T) {
	const paths = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="
	for _, tt := range []struct {
		name      string
		variables []string
		sent      bool
		service   string
	}{
		{"the default", nil, true, "authentik-graphql"},
		{"another name", []string{"OTEL_SERVICE_NAME=other"}, true, "other"},
		{"turned off", []string{"OTEL_SDK_DISABLED=true"}, false, ""},
		{"no exporter", []string{"OTEL_TRACES_EXPORTER=none"}, false, ""},
		{"none is sampled", []string{"OTEL_TRACES_SAMPLER=always_off"}, false, ""},
		{"by what the caller says", []string{"OTEL_TRACES_SAMPLER=parentbased_always_off"}, true, "authentik-graphql"},
		{"a part, and that is nothing", []string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"}, false, ""},
		{"elsewhere", []string{paths + "http://127.0.0.1:1/elsewhere"}, false, ""},
		{"at once", []string{"OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_EXPORTER_OTLP_COMPRESSION=none"}, true, "authentik-graphql"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rc := startReceiver(t, tt.variables...)
			_, a := newWorld(t, upstreamtest.Options{}, rc.settings...)
			if got := send(t, traced(t, a, aliceCode, "01")); len(got.Errors) > 0 {
				t.Errorf("%s", got.Body)
			}
			if err := a.Stop(); err != nil {
				t.Fatal(err)
			}
			if spans := rc.trace(traceID); (len(spans) > 0) != tt.sent {
				t.Errorf("%d spans", len(spans))
			}
			if tt.sent && !slices.Contains(attributes(rc.resource), "service.name="+tt.service) {
				t.Errorf("the resource is %q", attributes(rc.resource))
			}
		})
	}
}

// TestTracesByGRPC: the service starts without traces, and warns.
func TestTracesByGRPC(t *testing.T) {
	rc := startReceiver(t, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc")
	_, a := newWorld(t, upstreamtest.Options{}, rc.settings...)
	if got := send(t, traced(t, a, aliceCode, "01")); len(got.Errors) > 0 {
		t.Errorf("%s", got.Body)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	if rc.bytes.Len() > 0 {
		t.Error("traces were sent")
	}
	if !slices.ContainsFunc(a.Log.Lines(), func(line map[string]any) bool {
		return line["level"] == "WARN" && strings.HasPrefix(fmt.Sprint(line["hint"]), "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is grpc")
	}) {
		t.Errorf("the log is\n%s", a.Log)
	}
}

// TestCollectorDown: without a collector requests are answered, one warning is logged, without the values of
// the variables, and the service stops in time.
func TestCollectorDown(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { // after every listener has stopped
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
	held, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // accepts connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "s3cr3t words", http.StatusForbidden)
	}))
	defer refusing.Close()
	silent := "http://" + held.Addr().String()
	for _, tt := range []struct {
		name     string
		endpoint string
		reason   string
	}{
		{"no port", "http://127.0.0.1:1", "connection refused"},
		{"it refuses", refusing.URL, "HTTP status 403"},
		{"it is silent", silent, "no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settings := setTraces(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+tt.endpoint+"/s3cr3t-path",
				"OTEL_EXPORTER_OTLP_HEADERS=key=s3cr3t-key", "OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_BSP_MAX_QUEUE_SIZE=2",
				"OTEL_BSP_EXPORT_TIMEOUT=60000", "OTEL_EXPORTER_OTLP_TIMEOUT=60000") // longer than Stop waits
			_, a := newWorld(t, upstreamtest.Options{}, settings...)
			for n := range 20 {
				if got := query(t, a.URL, upstreamtest.TokenAlice, fmt.Sprintf(`{ a%d: authorizationCode(id: 17) { id } }`, n)); len(got.Errors) > 0 {
					t.Fatalf("%s", got.Body)
				}
			}
			if err := a.Stop(); err != nil { // or it takes too long
				t.Errorf("the end: %v", err)
			}
			log := a.Log.String()
			if strings.Count(log, "traces are lost") != 1 || !strings.Contains(log, tt.reason) || strings.Contains(log, "s3cr3t") {
				t.Errorf("the log is\n%s", log)
			}
		})
	}
}

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// TestTracesHoldNoSecrets searches everything that was sent for what no span may hold, and for what the
// operator configured.
func TestTracesHoldNoSecrets(t *testing.T) {
	const token, id = "s3cr3t-t0k3n-0123456789", "424242"
	documents := filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(documents, []byte(`{"one":"query ChosenName { authorizationCodes { totalCount } }"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	rc := startReceiver(t, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=testing,service.namespace=some%20space")
	up, a := newWorld(t, upstreamtest.Options{}, append(rc.settings, "REDACT=none", "UPSTREAM_TIMEOUT=1s",
		"REDIS_URL="+cachetest.StartRedis(t).URL(), "CACHE_SECRET="+testSecret, "TRUSTED_DOCUMENTS="+documents)...)
	up.AddCode(upstreamtest.Code{PK: 424242, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	ask := func(token, body string) {
		r := newRequest(t, http.MethodPost, a.URL+"/graphql?query=s3cr3t-in-url", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}, "X-Request-Id": {"s3cr3t-id"}, "User-Agent": {"s3cr3t-agent"}}
		r.Host = "s3cr3t-host.example"
		_ = send(t, r)
	}
	body := func(document string) string {
		b, err := json.Marshal(map[string]any{"query": document, "variables": map[string]string{"id": id, "s3cr3t": "s3cr3t-value"}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, token := range []string{upstreamtest.TokenAlice, token} {
		ask(token, body(`query SecretName($id: ID!) { s3cr3tAlias: authorizationCode(id: $id) { pk user { email } provider { clientSecret } } }`))
		ask(token, body(`query SecretName($id: ID!) { s3cr3tAlias: authorizationCode(id: $id) { pk } }`))
		ask(token, body(`{ s3cr3tAlias: authorizationCodes(filter: {user: 424242}) { totalCount } }`))
		ask(token, body(`{ authorizationCode(id: "s3cr3t-literal" }`))
		ask(token, `{"documentId":"one"}`)
	}
	for _, fault := range []upstreamtest.Fault{upstreamtest.Error500, upstreamtest.Reset, upstreamtest.Hang} {
		up.SetFault(424242, fault)
		ask(upstreamtest.TokenRoot, body(fmt.Sprintf(`mutation SecretName { revokeAuthorizationCode(id: %s) { id } }`, id)))
	}
	for _, path := range []string{"/s3cr3t-path", "/graphql/s3cr3t-path", "/healthz"} {
		_ = send(t, newRequest(t, "PURGE", a.URL+path, nil))
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{token, "s3cr3t", id, upstreamtest.TokenAlice, upstreamtest.TokenRoot, "SecretName", "authorizationCode", "revoke",
		testSecret, "email", "page_size", strings.TrimPrefix(up.URL, "http://")} {
		if bytes.Contains(rc.bytes.Bytes(), []byte(secret)) {
			t.Errorf("the traces hold %q", secret)
		}
	}
	for _, said := range []string{"ChosenName", "authorization_codes/{id}/", "DELETE", "UNAUTHENTICATED", "unavailable", "timeout"} {
		if !bytes.Contains(rc.bytes.Bytes(), []byte(said)) {
			t.Errorf("the traces do not say %q", said)
		}
	}
	got := attributes(rc.resource)
	for _, want := range []string{"service.name=authentik-graphql", "deployment.environment.name=testing", "service.namespace=some space"} {
		if !slices.Contains(got, want) {
			t.Errorf("the resource is %q, without %s", got, want)
		}
	}
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

// TestLogLinesNameTheTrace: a request's log line has the id of its trace, but not if it is to another path or
// there are no traces.
func TestLogLinesNameTheTrace(t *testing.T) {
	for _, on := range []bool{true, false} {
		var settings []string
		if on {
			settings = startReceiver(t).settings
		}
		_, a := newWorld(t, upstreamtest.Options{}, settings...)
		for range 3 { // loaded, from memory, and replayed
			_ = send(t, traced(t, a, aliceCode, "01"))
		}
		other := traced(t, a, aliceCode, "01")
		other.URL.Path = "/healthz"
		_ = send(t, other)
		if err := a.Stop(); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for _, line := range a.Log.Lines() {
			id, has := line["trace_id"]
			if asked := line["route"] == "/graphql"; has != (asked && on) || has && id != traceID {
				t.Errorf("traces %t: %v", on, line)
			} else if asked {
				lines++
			}
		}
		if lines != 3 {
			t.Errorf("%d lines of requests:\n%s", lines, a.Log)
		}
	}
}

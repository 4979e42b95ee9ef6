package main

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTraceVariables: which of OpenTelemetry's variables turn traces on, and how they are sent.
func TestTraceVariables(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"
	for _, tt := range []struct {
		variables string
		want      otlpProtocol
	}{
		{"", ""},
		{endpoint, otlpHTTP},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector.example", otlpHTTP},
		{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://collector.example", ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=", ""},
		{"OTEL_TRACES_EXPORTER=otlp", otlpHTTP},
		{"OTEL_TRACES_EXPORTER=none " + endpoint, ""},
		{"OTEL_SDK_DISABLED=TRUE " + endpoint, ""},
		{"OTEL_SDK_DISABLED=false " + endpoint, otlpHTTP},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc " + endpoint, otlpGRPC},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf " + endpoint, otlpHTTP},
		{"OTEL_TRACES_SAMPLER=nonsense OTEL_SERVICE_NAME=x", ""},
	} {
		_, in, err := load(append(strings.Fields(tt.variables), "AUTHENTIK_URL=http://127.0.0.1:9000"), false)
		if err != nil || in.traces != tt.want {
			t.Errorf("%s: %q, %v", tt.variables, in.traces, err)
		}
	}
}

// TestWrongTraceVariables: each is a mistake of the start that names the variable and not what it holds.
func TestWrongTraceVariables(t *testing.T) {
	for _, wrong := range []string{
		"OTEL_TRACES_EXPORTER=zipkin",
		"OTEL_TRACES_EXPORTER=otlp,console",
		"OTEL_SDK_DISABLED=s3cr3t",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=GRPC",
		"OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:4317",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://s3cr3t:s3cr3t@127.0.0.1:4318",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/?key=s3cr3t",
		"OTEL_EXPORTER_OTLP_HEADERS=s3cr3t",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=s3cr3t key=x",
		"OTEL_EXPORTER_OTLP_HEADERS=key=s3cr3t%zz",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s",
		"OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
		"OTEL_EXPORTER_OTLP_INSECURE=yes",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere/s3cr3t",
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=README.md",
		"OTEL_RESOURCE_ATTRIBUTES=environment",
		"OTEL_PROPAGATORS=b3",
		"OTEL_TRACES_SAMPLER=sometimes",
		"OTEL_TRACES_SAMPLER_ARG=2",
		"OTEL_BSP_SCHEDULE_DELAY=0",
		"OTEL_BSP_EXPORT_TIMEOUT=1s",
		"OTEL_BSP_MAX_QUEUE_SIZE=-1",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=many",
	} {
		name, _, _ := strings.Cut(wrong, "=")
		_, _, err := load([]string{"AUTHENTIK_URL=http://127.0.0.1:9000", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", wrong}, false)
		if err == nil || !strings.Contains(err.Error(), "\n"+name+" ") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// TestTraceVariablesThatContradict are found when the exporter is made.
func TestTraceVariablesThatContradict(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "collector.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	variables := setTraces(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE="+file)
	err := run(t.Context(), nil, append(variables, "AUTHENTIK_URL=http://127.0.0.1:9000"), newBuffer(), newBuffer())
	if exitCode(err, newBuffer()) != 2 || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_") {
		t.Errorf("got %v", err)
	}
}

package otlp

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"

// fromVariables reads variables that are separated by blanks.
func fromVariables(text string) (*Client, error) {
	return FromEnvironment(strings.Fields(text))
}

// TestEndpoint has a row for each way to turn traces on or off.
func TestEndpoint(t *testing.T) {
	for _, tt := range []struct{ variables, want string }{
		{"", ""},
		{endpoint, "http://127.0.0.1:4318/v1/traces"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.example/base/", "https://collector.example/base/v1/traces"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector.example", "https://collector.example"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector.example/path " + endpoint, "https://collector.example/path"},
		{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://collector.example", ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=", ""},
		{"OTEL_TRACES_EXPORTER=otlp", "http://localhost:4318/v1/traces"},
		{"OTEL_TRACES_EXPORTER=console,otlp", "http://localhost:4318/v1/traces"},
		{"OTEL_TRACES_EXPORTER=none " + endpoint, ""},
		{"OTEL_SDK_DISABLED=TRUE " + endpoint, ""},
		{"OTEL_SDK_DISABLED=false " + endpoint, "http://127.0.0.1:4318/v1/traces"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf " + endpoint, "http://127.0.0.1:4318/v1/traces"},
	} {
		c, err := fromVariables(tt.variables)
		if err != nil || len(c.Warnings) > 0 || c.endpoint != tt.want || c.Enabled() != (tt.want != "") {
			t.Errorf("%s: %v, %q, %v", tt.variables, c.endpoint, c.Warnings, err)
		}
	}
}

// TestWrongVariables: an error or a warning names the variable and does not hold its value.
func TestWrongVariables(t *testing.T) {
	for _, tt := range []struct {
		variable     string
		fails, sends bool
	}{
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", true, false},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=GRPC", true, false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=s3cr3t:4317", true, false},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://s3cr3t:s3cr3t@127.0.0.1:4318", true, false},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/?key=s3cr3t", true, false},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, false},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", false, false},
		{"OTEL_TRACES_EXPORTER=s3cr3t", false, false},
		{"OTEL_EXPORTER_OTLP_HEADERS=s3cr3t", false, true},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS=s3cr3t:key=x", false, true},
		{"OTEL_EXPORTER_OTLP_HEADERS=key=s3cr3t%zz", false, true},
		{"OTEL_EXPORTER_OTLP_HEADERS=key=s3cr3t%0A", false, true},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=10s3cr3t", false, true},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=0", false, true},
		{"OTEL_EXPORTER_OTLP_COMPRESSION=s3cr3t", false, true},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere/s3cr3t", false, false},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=environment_test.go", false, false},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=environment_test.go", false, false},
	} {
		c, err := fromVariables(endpoint + " " + tt.variable)
		problems := c.Warnings
		if (err != nil) != tt.fails || c.Enabled() != tt.sends {
			t.Errorf("%s: sends %t, %v", tt.variable, c.Enabled(), err)
		} else if err != nil {
			problems = append(problems, err.Error())
		}
		name, _, _ := strings.Cut(tt.variable, "=")
		if len(problems) != 1 || !strings.HasPrefix(problems[0], name+" ") || strings.Contains(problems[0], "s3cr3t") {
			t.Errorf("%s: %q", tt.variable, problems)
		}
	}
}

func TestClientIsPrintedWithoutSecrets(t *testing.T) {
	c, err := fromVariables("OTEL_EXPORTER_OTLP_ENDPOINT=http://s3cr3t OTEL_EXPORTER_OTLP_HEADERS=s3cr3t=s3cr3t")
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %d", c, c, c, c, c), string(asJSON), slog.AnyValue(c).Resolve().String()} {
		if strings.Contains(printed, "s3cr3t") {
			t.Error(printed)
		}
	}
}

package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Settings say where spans are sent, and how. The zero Settings send none.
type Settings struct {
	// Warnings name the variables whose values are not used, and say why.
	Warnings []string

	endpoint *url.URL // nil to send none
	header   http.Header
	gzip     bool
	timeout  time.Duration
	tls      tls.Config
}

// Enabled reports whether spans are sent. Nil sends none.
func (s *Settings) Enabled() bool { return s != nil && s.endpoint != nil }

// String hides the endpoint and the headers.
func (s *Settings) String() string { return fmt.Sprintf("OTLP enabled: %t", s.Enabled()) }

// LogValue implements [slog.LogValuer].
func (s *Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Format shows String under every verb.
func (s *Settings) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

func (s *Settings) warn(variable, problem string) {
	s.Warnings = append(s.Warnings, variable+" "+problem)
}

type variables map[string]string

// otlp finds the variable OTEL_EXPORTER_OTLP_name. The one for traces alone takes precedence.
func (v variables) otlp(name string) (variable, value string) {
	if variable = "OTEL_EXPORTER_OTLP_TRACES_" + name; v[variable] == "" {
		variable = "OTEL_EXPORTER_OTLP_" + name
	}
	return variable, v[variable]
}

// FromEnvironment reads OpenTelemetry's variables from an environment in the form of [os.Environ]. Only an
// endpoint or a protocol that cannot be used is an error. Other values that cannot be used are ignored with a
// warning, as the specification demands.
func FromEnvironment(environ []string) (*Settings, error) {
	v, s := variables{}, &Settings{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		v[name] = value
	}
	if !v.ask(s) {
		return s, nil
	}
	switch variable, protocol := v.otlp("PROTOCOL"); protocol {
	case "", "http/protobuf":
	case "grpc":
		s.warn(variable, "is grpc, which is not built in, so no traces are sent; use http/protobuf, usually at port 4318")
		return s, nil
	default:
		return s, errors.New(variable + " must be http/protobuf")
	}
	endpoint, err := v.endpoint()
	if err != nil {
		return s, err
	}
	v.readOptions(s)
	if v.readCertificates(s) {
		s.endpoint = endpoint
	}
	return s, nil
}

// ask reports whether the variables ask for traces that can be sent.
func (v variables) ask(s *Settings) bool {
	exporters := v["OTEL_TRACES_EXPORTER"]
	switch _, endpoint := v.otlp("ENDPOINT"); {
	case strings.EqualFold(v["OTEL_SDK_DISABLED"], "true"), exporters == "none", exporters == "" && endpoint == "":
		return false
	case exporters != "" && !slices.Contains(strings.Split(exporters, ","), "otlp"):
		s.warn("OTEL_TRACES_EXPORTER", "names no exporter that is built in, so no traces are sent; use otlp")
		return false
	}
	return true
}

// endpoint is the URL that spans are sent to. The variable for traces has all of it, the other one lacks the
// path.
func (v variables) endpoint() (*url.URL, error) {
	variable, value := v.otlp("ENDPOINT")
	if value == "" {
		value = "http://localhost:4318"
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New(variable + " must be an http:// or https:// URL without a user, query or fragment; for example http://127.0.0.1:4318")
	}
	if variable == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		u = u.JoinPath("v1/traces")
	}
	return u, nil
}

func (v variables) readOptions(s *Settings) {
	s.timeout, s.header = 10*time.Second, http.Header{}
	if variable, value := v.otlp("TIMEOUT"); value != "" {
		if ms, err := strconv.ParseUint(value, 10, 31); err == nil && ms > 0 {
			s.timeout = time.Duration(ms) * time.Millisecond //nolint:gosec // it has 31 bits
		} else {
			s.warn(variable, "is not a number of milliseconds; 10000 is used")
		}
	}
	variable, compression := v.otlp("COMPRESSION")
	if s.gzip = compression == "gzip"; !s.gzip && compression != "" && compression != "none" {
		s.warn(variable, "is neither gzip nor none; none is used")
	}
	variable, headers := v.otlp("HEADERS")
	for pair := range strings.SplitSeq(headers, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if ok && err == nil && httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) {
			s.header.Set(name, value)
		} else if pair != "" {
			s.warn(variable, "has an entry that is not name=value in percent-encoding; the others are used")
		}
	}
}

// readCertificates reports whether spans can be sent: without the certificates that the variables name they
// might reach the wrong collector.
func (v variables) readCertificates(s *Settings) bool {
	if variable, file := v.otlp("CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		s.tls.RootCAs = x509.NewCertPool()
		if err != nil || !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			s.warn(variable, "is no PEM file of certificates, so no traces are sent")
			return false
		}
	}
	variable, certificate := v.otlp("CLIENT_CERTIFICATE")
	if _, key := v.otlp("CLIENT_KEY"); certificate != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			s.warn(variable, "and the variable of its key do not name PEM files that belong together, so no traces are sent")
			return false
		}
		s.tls.Certificates = []tls.Certificate{pair}
	}
	return true
}

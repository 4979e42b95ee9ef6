package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// variables are those of an environment. An empty one counts as unset.
type variables map[string]string

// otlp finds the variable OTEL_EXPORTER_OTLP_name. The one for traces alone takes precedence.
func (v variables) otlp(name string) (variable, value string) {
	if variable = "OTEL_EXPORTER_OTLP_TRACES_" + name; v[variable] == "" {
		variable = "OTEL_EXPORTER_OTLP_" + name
	}
	return variable, v[variable]
}

// FromEnvironment makes the client that OpenTelemetry's variables describe. The environment has the form of
// [os.Environ]. Only an endpoint or a protocol that cannot be used is an error. Other values that cannot be
// used are ignored with a warning, as the specification demands.
func FromEnvironment(environ []string) (*Client, error) {
	v, c := variables{}, newClient()
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		v[name] = value
	}
	if !v.enabled(c) {
		return c, nil
	}
	switch variable, protocol := v.otlp("PROTOCOL"); protocol {
	case "", "http/protobuf":
	case "grpc":
		c.warn(variable, "is grpc, which is not built in, so no traces are sent; use http/protobuf, usually at port 4318")
		return c, nil
	default:
		return c, errors.New(variable + " must be http/protobuf")
	}
	endpoint, err := v.endpoint()
	if err == nil && v.readCertificates(c) {
		v.readOptions(c)
		c.endpoint = endpoint
	}
	return c, err
}

func (v variables) enabled(c *Client) bool {
	exporters := v["OTEL_TRACES_EXPORTER"]
	switch _, endpoint := v.otlp("ENDPOINT"); {
	case strings.EqualFold(v["OTEL_SDK_DISABLED"], "true"), exporters == "none", exporters == "" && endpoint == "":
		return false
	case exporters != "" && !slices.Contains(strings.Split(exporters, ","), "otlp"):
		c.warn("OTEL_TRACES_EXPORTER", "names no exporter that is built in, so no traces are sent; use otlp")
		return false
	}
	return true
}

// endpoint is the URL that spans are sent to. The variable for traces has all of it, the other one lacks the
// path.
func (v variables) endpoint() (string, error) {
	variable, value := v.otlp("ENDPOINT")
	if value == "" {
		value = "http://localhost:4318"
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New(variable + " must be an http:// or https:// URL without a user, query or fragment; for example http://127.0.0.1:4318")
	}
	if variable == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		u = u.JoinPath("v1/traces")
	}
	return u.String(), nil
}

func (v variables) readOptions(c *Client) {
	if variable, value := v.otlp("TIMEOUT"); value != "" {
		if ms, err := strconv.ParseUint(value, 10, 31); err == nil && ms > 0 {
			c.http.Timeout = time.Duration(ms) * time.Millisecond //nolint:gosec // it has 31 bits
		} else {
			c.warn(variable, "is not a number of milliseconds; 10000 is used")
		}
	}
	variable, compression := v.otlp("COMPRESSION")
	if c.gzip = compression == "gzip"; !c.gzip && compression != "" && compression != "none" {
		c.warn(variable, "is neither gzip nor none; none is used")
	}
	variable, headers := v.otlp("HEADERS")
	for pair := range strings.SplitSeq(headers, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if ok && err == nil && httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) {
			c.header.Set(name, value)
		} else if pair != "" {
			c.warn(variable, "has an entry that is not name=value in percent-encoding; the others are used")
		}
	}
}

// readCertificates reports whether spans can be sent: without the certificates that the variables name they
// might reach the wrong collector.
func (v variables) readCertificates(c *Client) bool {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if variable, file := v.otlp("CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		config.RootCAs = x509.NewCertPool()
		if err != nil || !config.RootCAs.AppendCertsFromPEM(pem) {
			c.warn(variable, "is no PEM file of certificates, so no traces are sent")
			return false
		}
	}
	variable, certificate := v.otlp("CLIENT_CERTIFICATE")
	if _, key := v.otlp("CLIENT_KEY"); certificate != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			c.warn(variable, "and the variable of its key do not name PEM files that belong together, so no traces are sent")
			return false
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	c.http.Transport = transport
	return true
}

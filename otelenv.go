package main

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"authentik-graphql/internal/envvalue"
)

// otlpProtocol is how traces are sent, empty if they are not.
type otlpProtocol string

const (
	otlpGRPC otlpProtocol = "grpc"
	otlpHTTP otlpProtocol = "http/protobuf"
)

// otelVars are the variables of OpenTelemetry's specification by which traces are configured.
// OpenTelemetry itself reads them from the process's environment and passes over what it cannot use;
// what is here makes that a mistake of the start.
type otelVars map[string]string

// signal is a variable OTEL_EXPORTER_OTLP_..., of which there is one for traces alone that goes before.
func (v otelVars) signal(name string) string {
	if own := v["OTEL_EXPORTER_OTLP_TRACES_"+name]; own != "" {
		return own
	}
	return v["OTEL_EXPORTER_OTLP_"+name]
}

func newOTelVars(environ []string) otelVars {
	v := otelVars{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && value != "" {
			v[name] = value
		}
	}
	return v
}

// on tells whether traces are asked for.
func (v otelVars) on() bool {
	if strings.EqualFold(v["OTEL_SDK_DISABLED"], "true") {
		return false
	}
	exporter := v["OTEL_TRACES_EXPORTER"]
	return exporter != "none" && (exporter != "" || v.signal("ENDPOINT") != "")
}

// protocol is how traces are to be sent, and what is wrong with the variables. Nothing is, while they
// ask for no traces. No error holds a value: a header's is a secret.
func (v otelVars) protocol() (p otlpProtocol, errs []error) {
	if !v.on() {
		return "", nil
	}
	for _, rule := range otelRules {
		for _, name := range rule.names {
			if value := v[name]; value != "" && !rule.fits(value) {
				errs = append(errs, fmt.Errorf("%s %s", name, rule.want))
			}
		}
	}
	for _, prefix := range otlpPrefixes {
		certificate, key := prefix+"CLIENT_CERTIFICATE", prefix+"CLIENT_KEY"
		if v[certificate] == "" && v[key] == "" {
			continue
		}
		if _, err := tls.LoadX509KeyPair(v[certificate], v[key]); err != nil {
			errs = append(errs, fmt.Errorf("%s and %s cannot be read as a certificate and its key: %w", certificate, key, err))
		}
	}
	if p = otlpProtocol(v.signal("PROTOCOL")); p == "" {
		p = otlpHTTP
	}
	return p, errs
}

// otelRule is what values some variables may have.
type otelRule struct {
	names []string
	want  string
	fits  func(value string) bool
}

var otlpPrefixes = []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"}

var otelRules = []otelRule{
	{[]string{"OTEL_TRACES_EXPORTER"}, "must be otlp or none", oneOf("otlp")},
	{[]string{"OTEL_SDK_DISABLED"}, "must be true or false", isTruth},
	{otlp("PROTOCOL"), "must be grpc or http/protobuf", oneOf(string(otlpGRPC), string(otlpHTTP))},
	{otlp("ENDPOINT"), "must be an http:// or https:// URL without a user, query or fragment; for example http://127.0.0.1:4318", isEndpoint},
	{otlp("INSECURE"), "must be true or false", isTruth},
	{otlp("HEADERS"), "must list name=value, separated by commas, with values in percent-encoding", isHeaders},
	{otlp("COMPRESSION"), "must be gzip or none", oneOf("gzip", "none")},
	{otlp("CERTIFICATE"), "must be a PEM file of certificates", isCertificates},
	{otlp("TIMEOUT"), "must be a number of milliseconds from 1 to 1000000", isCount},
	{[]string{"OTEL_RESOURCE_ATTRIBUTES"}, "must list name=value, separated by commas, with values in percent-encoding", isAttributes},
	{[]string{"OTEL_PROPAGATORS"}, "must have tracecontext, which is the only one that is used", func(value string) bool {
		return slices.Contains(strings.Split(value, ","), "tracecontext")
	}},
	{[]string{"OTEL_TRACES_SAMPLER"}, "must be always_on, always_off, traceidratio or one of these after parentbased_", oneOf(
		"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")},
	{[]string{"OTEL_TRACES_SAMPLER_ARG"}, "must be a number from 0 to 1", func(value string) bool {
		ratio, err := strconv.ParseFloat(value, 64)
		return err == nil && 0 <= ratio && ratio <= 1
	}},
	{[]string{"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT"}, "must be a number of milliseconds from 1 to 1000000", isCount},
	{[]string{"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"}, "must be from 1 to 1000000", isCount},
}

func otlp(name string) []string {
	names := slices.Clone(otlpPrefixes)
	for i := range names {
		names[i] += name
	}
	return names
}

func oneOf(values ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(values, value) }
}

func isTruth(value string) bool { return oneOf("true", "false")(strings.ToLower(value)) }

func isEndpoint(value string) bool {
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

func isHeaders(value string) bool {
	return isPairs(value, httpguts.ValidHeaderFieldName)
}

func isAttributes(value string) bool {
	return isPairs(value, func(name string) bool { return name != "" })
}

func isPairs(list string, isName func(string) bool) bool {
	for pair := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); !ok || err != nil || !isName(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}

func isCertificates(file string) bool {
	_, err := readCAs("", file)
	return err == nil
}

func isCount(value string) bool { return new(envvalue.Count).UnmarshalText([]byte(value)) == nil }

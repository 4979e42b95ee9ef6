// Package otlp sends spans to a collector by OTLP over HTTP, in protobuf, as OpenTelemetry's variables say.
// No error or warning of it holds a URL, a header or the collector's own words, as each may hold a key. The
// package knows nothing of what spans are about. It exists because OpenTelemetry's own client links gRPC.
package otlp

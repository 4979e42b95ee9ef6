// Package spans makes the spans below that of a request. It wraps OpenTelemetry's API for two guarantees: a
// nil Tracer makes no spans, and only a request that is recorded has spans below its
// own. It knows nothing of exporters or sampling, and imports no other package of the service.
package spans

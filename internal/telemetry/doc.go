// Package telemetry makes what an operator sees of the service: its log, its metrics and its traces. Metric
// labels have a closed set of values, and nothing that a client or authentik said becomes a label, a span
// name or an attribute. A log line never holds a credential. Requests do not wait for the collector of
// traces. The package knows nothing of HTTP routes or settings: the packages that have something to report
// call it, or give it functions to read from.
package telemetry

package httpserver

import (
	"net/http"

	"authentik-graphql/graph"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
)

// checkHead refuses requests whose URL or header lines are larger than the limits. Package net/http refuses
// what is larger than both together, without an error of ours.
func checkHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(r.RequestURI) > document.MaxURL:
			graph.WriteError(w, r, apierror.OverAs(apierror.URITooLong, "MAX_URL", document.MaxURL, "The URL has more bytes"))
		case headerBytes(r) > document.MaxHeaders:
			graph.WriteError(w, r, apierror.OverAs(apierror.HeadersTooLarge, "MAX_HEADERS", document.MaxHeaders, "The headers have more bytes"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// headerBytes is what the header lines take on the wire in HTTP/1.
func headerBytes(r *http.Request) int {
	n := 0
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + len(": \r\n")
		}
	}
	return n
}

package graph

import (
	"net/http"

	"authentik-graphql/internal/apierror"
)

// The limits of a request's head, which are no settings. Package net/http refuses what is larger than
// both together, without an error of ours.
const (
	// MaxURL bounds the bytes of a request's target.
	MaxURL = 8 << 10
	// MaxHeaders bounds the bytes of a request's header lines.
	MaxHeaders = 16 << 10
)

// CheckHead refuses requests whose URL or header lines are larger than the limits.
func CheckHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(r.RequestURI) > MaxURL:
			WriteError(w, r, apierror.OverAs(apierror.URITooLong, "MAX_URL", MaxURL, "The URL has more bytes"))
		case headerBytes(r) > MaxHeaders:
			WriteError(w, r, apierror.OverAs(apierror.HeadersTooLarge, "MAX_HEADERS", MaxHeaders, "The headers have more bytes"))
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

// Package playground serves GraphiQL, pinned and from the binary, with a strict Content-Security-Policy:
// a browser asks no other host. It knows the example queries, but neither the schema nor the endpoint
// behind the page.
package playground

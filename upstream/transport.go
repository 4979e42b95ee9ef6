package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

const (
	// idleTimeout is how long an unused connection is kept.
	idleTimeout = 30 * time.Second
	// maxHead bounds the status line and header of an answer.
	maxHead = 64 << 10
)

// newHTTPClient makes the one http.Client that reaches authentik.
//
// It has no cookie jar: authentik accepts sessions on this API, and a cookie set on one caller's
// answer would act for the next. It follows no redirect: this API never redirects rightly, and a
// redirect may carry the token elsewhere. It uses no proxy of the environment.
//
// It speaks HTTP/1.1 over as many kept-alive connections as calls may run at once, so that steady
// load dials nothing. net/http repeats a GET whose kept-alive connection ends without an answer, as
// authentik's workers end them when they restart. It repeats a DELETE only if nothing of it was sent.
func newHTTPClient(rootCAs *x509.CertPool, concurrency int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: rootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxConnsPerHost:        concurrency,
			MaxIdleConns:           concurrency,
			MaxIdleConnsPerHost:    concurrency,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHead,
			// Compression costs both sides more CPU than it saves on a local network.
			DisableCompression: true,
			// An empty map keeps the transport from HTTP/2.
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

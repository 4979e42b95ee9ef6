package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// newHTTPClient makes the one http.Client that reaches authentik.
//
// It has no cookie jar: authentik accepts sessions on this API, and a cookie set on one caller's
// answer would act for the next. It follows no redirect: this API never redirects rightly, and a
// redirect may carry the token elsewhere. It speaks HTTP/1.1 over as many kept-alive connections
// as calls may run at once, so that steady load dials nothing.
// net/http itself sends a GET again when a kept-alive connection is dropped without an answer,
// as authentik's workers do when they replace themselves.
func newHTTPClient(rootCAs *x509.CertPool, concurrency int) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: rootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxConnsPerHost:        concurrency,
			MaxIdleConns:           concurrency,
			MaxIdleConnsPerHost:    concurrency,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // spares both sides more CPU than a local network costs
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// newHTTPClient makes the one http.Client that reaches authentik.
//
// It has no cookie jar: authentik accepts sessions on this API, and a cookie set on one caller's
// answer would act for the next. It follows no redirect: this API never redirects rightly, and a
// redirect may carry the token elsewhere. It speaks HTTP/1.1 over as many kept-alive connections
// as calls may run at once, so that steady load dials nothing.
// A GET is sent again when a kept-alive connection is dropped without an answer, as authentik's
// workers do when they replace themselves.
func newHTTPClient(base *url.URL, rootCAs *x509.CertPool, concurrency int) *http.Client {
	return &http.Client{
		Transport:     newTransport(base, rootCAs, concurrency),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newTransport(base *url.URL, rootCAs *x509.CertPool, concurrency int) http.RoundTripper {
	dialer := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	if host := base.Hostname(); canProbe && base.Scheme == "http" && isASCII(host) { // others need to be encoded
		port := base.Port()
		if port == "" {
			port = "80"
		}
		return &direct{
			host: strings.TrimSuffix(base.Host, ":"), address: net.JoinHostPort(host, port),
			dialer: dialer, limit: concurrency, idleFor: idleTimeout,
		}
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: rootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		MaxConnsPerHost:        concurrency,
		MaxIdleConns:           concurrency,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHead,
		DisableCompression:     true, // spares both sides more CPU than a local network costs
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

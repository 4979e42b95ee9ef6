package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
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
func newHTTPClient(tlsConfig *tls.Config, concurrency int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:        tlsConfig,
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

// tlsConfig says which certificates of authentik are accepted: those that a root vouches for, or those with one
// of the pins.
//
// A pin is stricter than a root. It admits one certificate, whose key the handshake proves, and no other that
// some authority issues. InsecureSkipVerify turns off the check of the chain, the names and the dates alone,
// which authentik's default certificate cannot pass: its only name is *. VerifyConnection takes its place, and
// nothing is sent before it returns. It also runs when a session is resumed, as VerifyPeerCertificate does not.
func tlsConfig(rootCAs *x509.CertPool, pins [][sha256.Size]byte) *tls.Config {
	c := &tls.Config{RootCAs: rootCAs, MinVersion: tls.VersionTLS12}
	if len(pins) == 0 {
		return c
	}
	c.InsecureSkipVerify = true //nolint:gosec // VerifyConnection verifies
	c.VerifyConnection = func(state tls.ConnectionState) error {
		// Only the leaf counts: a server can add any certificate to its chain.
		leaf := sha256.Sum256(state.PeerCertificates[0].Raw)
		if slices.Contains(pins, leaf) {
			return nil
		}
		return fmt.Errorf("AUTHENTIK_CERT_SHA256 does not list the certificate %x, which was presented: "+
			"either authentik has a new one, or something else answers at AUTHENTIK_URL", leaf)
	}
	return c
}

// withRemedy adds to the error of a certificate that cannot be verified which settings are for that.
func withRemedy(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w; AUTHENTIK_CA_FILE adds an issuer, "+
			"AUTHENTIK_CERT_SHA256 lists a certificate whose names do not match", err)
	}
	return err
}

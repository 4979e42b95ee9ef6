package servicetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// DefaultCertificate makes a certificate like authentik's default one: for a year, self-signed, with the one name
// *, which is no host's.
func DefaultCertificate(t testing.TB, notBefore time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(notBefore.UnixNano()),
		Subject:               pkix.Name{Organization: []string{"authentik"}, CommonName: "authentik default certificate"},
		DNSNames:              []string{"*"},
		NotBefore:             notBefore,
		NotAfter:              notBefore.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Fingerprint is the SHA-256 of a certificate in hexadecimal.
func Fingerprint(c tls.Certificate) string {
	hash := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(hash[:])
}

// StartTLS starts a server with a certificate, which ends with the test.
func StartTLS(t testing.TB, h http.Handler, c tls.Certificate) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{c}} //nolint:gosec // TLS 1.2 and later by default
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)          // refused handshakes
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

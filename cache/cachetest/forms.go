package cachetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// StartRedisSocket is StartRedis for a server that listens only on a Unix socket.
func StartRedisSocket(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	s := newServer(t, args...)
	s.socket = true
	s.addr = filepath.Join(s.dir, "redis.sock")
	s.launch()
	return s
}

// StartRedisTLS is StartRedis for a server that accepts only TLS. Its certificate is for 127.0.0.1, from a CA
// of its own; see CAFile.
func StartRedisTLS(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	s := newServer(t, args...)
	s.tls = newCertificate(t, s.dir)
	s.launch()
	return s
}

// StartReplica is StartRedis for a read-only replica. It waits until the replica is connected to its primary.
func StartReplica(t testing.TB, primary *RedisServer, args ...string) *RedisServer {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary.addr)
	s := StartRedis(t, append([]string{"--replicaof", host, port, "--replica-read-only", "yes"}, args...)...)
	c := connect(s)
	t.Cleanup(func() { _ = c.Close() })
	Eventually(t, "the replica is connected to its primary", func() bool {
		return strings.Contains(c.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	return s
}

// CAFile returns the PEM file of the CA of a server made by StartRedisTLS.
func (s *RedisServer) CAFile() string { return s.tls.caFile }

// RootCAs returns the CA of CAFile.
func (s *RedisServer) RootCAs() *x509.CertPool { return s.tls.roots }

type certificate struct {
	caFile, certFile, keyFile string
	roots                     *x509.CertPool
}

func (c *certificate) args() []string {
	return []string{"--tls-cert-file", c.certFile, "--tls-key-file", c.keyFile, "--tls-ca-cert-file", c.caFile, "--tls-auth-clients", "no"}
}

// newCertificate makes a CA and a certificate of a server in dir.
func newCertificate(t testing.TB, dir string) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sign := func(c *x509.Certificate) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	caDER := sign(ca)
	signed, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificate{
		caFile:   write("ca.pem", "CERTIFICATE", caDER),
		certFile: write("redis.pem", "CERTIFICATE", sign(leaf)),
		keyFile:  write("redis-key.pem", "PRIVATE KEY", keyDER),
		roots:    x509.NewCertPool(),
	}
	c.roots.AddCert(signed)
	return c
}

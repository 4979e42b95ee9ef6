package upstream_test

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

func pinned(to ...tls.Certificate) func(*upstream.Options) {
	return func(o *upstream.Options) {
		for _, c := range to {
			o.Pins = append(o.Pins, sha256.Sum256(c.Certificate[0]))
		}
	}
}

// TestPins: the leaf that is presented must be one of the pins, and the server must have its key.
func TestPins(t *testing.T) {
	t.Parallel()
	good, other := servicetest.DefaultCertificate(t, time.Now()), servicetest.DefaultCertificate(t, time.Now())
	expired := servicetest.DefaultCertificate(t, time.Now().AddDate(-2, 0, 0))
	stolen := tls.Certificate{Certificate: good.Certificate, PrivateKey: other.PrivateKey}
	chain := tls.Certificate{Certificate: [][]byte{other.Certificate[0], good.Certificate[0]}, PrivateKey: other.PrivateKey}
	const mismatch, unpinned = "AUTHENTIK_CERT_SHA256 does not list", "; AUTHENTIK_CA_FILE adds an issuer, AUTHENTIK_CERT_SHA256 lists"
	tests := []struct {
		name      string
		presented tls.Certificate
		pins      []tls.Certificate
		want      string // in the error; empty is no error
	}{
		{"the pin", good, []tls.Certificate{good}, ""},
		{"the second of two pins", good, []tls.Certificate{other, good}, ""},
		{"the first of two pins", good, []tls.Certificate{good, other}, ""},
		{"expired", expired, []tls.Certificate{expired}, ""},
		{"another certificate", other, []tls.Certificate{good}, mismatch},
		{"the pin as issuer", chain, []tls.Certificate{good}, mismatch},
		{"the pin without its key", stolen, []tls.Certificate{good}, "invalid signature"},
		{"no pins", good, nil, unpinned},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			world := upstreamtest.New(upstreamtest.Options{})
			world.AddCode(upstreamtest.Code{PK: pk, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
			var requests atomic.Int64
			srv := servicetest.StartTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				world.ServeHTTP(w, r)
			}), tt.presented)
			_, err := client(t, srv.URL, pinned(tt.pins...)).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*upstream.Error](err); !ok || e.Kind != upstream.Unavailable || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if tt.want == mismatch && !strings.Contains(err.Error(), servicetest.Fingerprint(tt.presented)) {
				t.Errorf("the error does not name what was presented: %v", err)
			}
			if requests.Load() > 0 {
				t.Error("the token was sent")
			}
		})
	}
}

// TestPinsOfResumedSessions: a session that is resumed presents no certificate again. It is refused as well if the
// certificate it began with is not a pin.
func TestPinsOfResumedSessions(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, other := servicetest.DefaultCertificate(t, time.Now()), servicetest.DefaultCertificate(t, time.Now())
			resumed := make(chan bool, 8)
			srv := servicetest.StartTLS(t, upstreamtest.New(upstreamtest.Options{}), good)
			srv.TLS.MaxVersion = version
			srv.TLS.VerifyConnection = func(s tls.ConnectionState) error { resumed <- s.DidResume; return nil }
			sessions := tls.NewLRUClientSessionCache(8)
			ready := func(pin tls.Certificate) error {
				c := client(t, srv.URL, pinned(pin))
				c.KeepSessions(sessions)
				return c.Ready(t.Context())
			}
			for _, again := range []bool{false, true} {
				if err := ready(good); err != nil || <-resumed != again {
					t.Fatalf("a session of the pin, resumed %t: %v", again, err)
				}
			}
			if err := ready(other); err == nil || !strings.Contains(err.Error(), "AUTHENTIK_CERT_SHA256") || !<-resumed {
				t.Errorf("a resumed session of another certificate: %v", err)
			}
		})
	}
}

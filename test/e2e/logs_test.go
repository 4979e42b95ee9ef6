package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// TestLogHoldsNoSecrets searches the log of all kinds of requests for their secrets.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	const token = "s3cr3t-t0k3n-0123456789"
	up, a := newWorld(t, upstreamtest.Options{}, "UPSTREAM_TIMEOUT=1s", "REDACT=none",
		"CACHE_SECRET=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	_ = query(t, a.URL, token, aliceCode)
	_ = query(t, a.URL, token, `query `+strings.Repeat("N", 200)+` { authorizationCode(id: "s3cr3t-literal") { id } }`)
	_ = query(t, a.URL, token, `{ authorizationCode(id: "s3cr3t-literal" }`)
	_ = query(t, a.URL, upstreamtest.TokenAlice, file(t, "graph/playground/one-code.graphql"))
	got := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCode(id: 17) { user { email } provider { clientSecret } } }`)
	var data struct {
		AuthorizationCode struct {
			User     struct{ Email string }
			Provider struct{ ClientSecret string }
		}
	}
	if err := json.Unmarshal(got.Data, &data); err != nil || data.AuthorizationCode.Provider.ClientSecret == "" {
		t.Fatalf("no secret to look for: %s", got.Body)
	}
	log := newBuffer()
	t.Run("faults", func(t *testing.T) {
		for i, fault := range upstreamtest.Faults() {
			pk := int32(100 + i)
			up.SetFault(pk, fault)
			t.Run(fault.Name, func(t *testing.T) { // a service for each: the breaker of one would open
				t.Parallel()
				one := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "UPSTREAM_TIMEOUT=1s")
				_ = query(t, one.URL, upstreamtest.TokenBob, fmt.Sprintf(`{ authorizationCode(id: %d) { id } }`, pk))
				if up.Retrieves(pk) == 0 {
					t.Error("authentik was not called")
				}
				if err := one.Stop(); err != nil {
					t.Error(err)
				}
				_, _ = log.Write([]byte(one.Log.String()))
			})
		}
	})
	req := newRequest(t, http.MethodPost, a.URL+"/graphql?query=s3cr3t-in-url", strings.NewReader("s3cr3t-body"))
	req.Header.Set("X-Request-ID", "s3cr3t\" id")
	_ = send(t, req)
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	_, _ = log.Write([]byte(a.Log.String() + a.Stdout.String()))
	secrets := []string{token, "s3cr3t", upstreamtest.TokenAlice, upstreamtest.TokenBob, "MDEyMzQ1Njc4", "0123456789abcdef0123456789abcdef",
		data.AuthorizationCode.User.Email, data.AuthorizationCode.Provider.ClientSecret, strings.Repeat("N", 65)}
	for _, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(log.String(), `"codes":["UNAUTHENTICATED"]`) || !strings.Contains(log.String(), `"operation":"query"`) {
		t.Errorf("the log says too little:\n%s", log.String())
	}
}

func TestRequestID(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	tests := []struct {
		name, sent string
		kept       bool
	}{
		{"sane", "trace-1.2_3:4", true},
		{"empty", "", false},
		{"with a blank", "a b", false},
		{"with markup", "<script>", false},
		{"too long", strings.Repeat("a", 129), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := newRequest(t, http.MethodGet, a.URL+"/healthz", nil)
			req.Header.Set("X-Request-ID", tt.sent)
			got := send(t, req).Header.Get("X-Request-Id")
			if (got == tt.sent) != tt.kept || got == "" {
				t.Errorf("sent %q, got %q", tt.sent, got)
			}
		})
	}
}

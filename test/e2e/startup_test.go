package e2e

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/app"
	"authentik-graphql/internal/demo"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

func TestFlags(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	tests := []struct {
		name    string
		args    []string
		environ []string
		exit    int
		stdout  []string
		stderr  []string
	}{
		{"schema", []string{"-schema"}, nil, 0, []string{"type Query {", "authorizationCode("}, nil},
		{"version", []string{"-version"}, nil, 0, []string{"authentik-graphql devel", ", go1."}, nil},
		{"help", []string{"-help"}, nil, 0, []string{"-demo", "CACHE_SECRET[_FILE] (default: unset)", "openssl rand -base64 32", "CACHE_TTL (default: 5s)"}, nil},
		{"help, short", []string{"-h"}, nil, 0, []string{"-demo", "-healthcheck", "-fake-authentik ADDR  run", "CACHE_TTL (default: 5s)"}, nil},
		{"unknown flag", []string{"-nope"}, nil, 2, nil, []string{"authentik-graphql: unknown flag -nope; see -help\n"}},
		{"a flag's value", []string{"-demo=x"}, nil, 2, nil, []string{`invalid boolean value "x" for -demo`, "; see -help\n"}},
		{"fake authentik, no address", []string{"-fake-authentik", ""}, nil, 2, nil, []string{"-fake-authentik: is not host:port; see -help\n"}},
		{"fake authentik, address in use", []string{"-fake-authentik", strings.TrimPrefix(up.URL, "http://")}, nil, 1, nil, []string{"start the fake authentik: "}},
		{"unknown argument", []string{"serve"}, nil, 2, nil, []string{`"serve"`}},
		{"no settings", nil, nil, 2, nil, []string{"AUTHENTIK_URL is required"}},
		{"check, good", []string{"-check"}, []string{"AUTHENTIK_URL=" + up.URL}, 0, []string{"settings   ok", "authentik  ok", "redis      not used"}, nil},
		{"check, demo", []string{"-check", "-demo"}, nil, 0, []string{"authentik  ok"}, nil},
		{"check, no authentik", []string{"-check"}, []string{"AUTHENTIK_URL=http://127.0.0.1:1"}, 1, []string{"authentik  FAILED"}, []string{"the check failed"}},
		{"check, no redis", []string{"-check"}, []string{"AUTHENTIK_URL=" + up.URL, "REDIS_URL=redis://:pw-s3cr3t@127.0.0.1:1", "CACHE_SECRET=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}, 1, []string{"redis      FAILED"}, nil},
		{"address in use", nil, []string{"AUTHENTIK_URL=" + up.URL, "LISTEN_ADDR=" + strings.TrimPrefix(up.URL, "http://")}, 1, nil, []string{"LISTEN_ADDR"}},
		{"admin address in use", nil, []string{"AUTHENTIK_URL=" + up.URL, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=" + strings.TrimPrefix(up.URL, "http://")}, 1, nil, []string{"ADMIN_ADDR: ", "every process of a host needs its own"}},
		{"no CA file", nil, []string{"AUTHENTIK_URL=" + up.URL, "AUTHENTIK_CA_FILE=testdata/none.pem"}, 2, nil, []string{"AUTHENTIK_CA_FILE cannot be read"}},
		{"CA file without certificate", nil, []string{"AUTHENTIK_URL=" + up.URL, "AUTHENTIK_CA_FILE=harness_test.go"}, 2, nil, []string{"AUTHENTIK_CA_FILE holds no PEM certificate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), tt.args, tt.environ, &stdout, &stderr)
			if got := app.ExitCode(err, &stderr); got != tt.exit {
				t.Errorf("exit code %d, want %d: %v", got, tt.exit, err)
			}
			if tt.stdout == nil && stdout.Len() > 0 || strings.Contains(stderr.String(), "Usage:") {
				t.Errorf("more is printed than the mistake:\n%s%s", stdout.String(), stderr.String())
			}
			for _, want := range tt.stdout {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("stdout lacks %q:\n%s", want, stdout.String())
				}
			}
			for _, want := range tt.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr.String())
				}
			}
			if strings.Contains(stdout.String()+stderr.String(), "s3cr3t") {
				t.Error("a secret is printed")
			}
		})
	}
}

func TestCheckReadsAuthentiksProbe(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	up.SetFault(upstreamtest.HealthRequests, upstreamtest.Error500)
	var stdout bytes.Buffer
	err := run(t.Context(), []string{"-check"}, []string{"AUTHENTIK_URL=" + up.URL}, &stdout, io.Discard)
	if err == nil || !strings.Contains(stdout.String(), "authentik  FAILED  authentik is not ready: status 500") {
		t.Errorf("%v\n%s", err, stdout.String())
	}
}

// TestHintsAreReported: misspelt settings are reported at the start and by -check, without their values.
func TestHintsAreReported(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "CACHE_SECRTE=telltale")
	if log := a.Log.String(); !strings.Contains(log, `"level":"WARN"`) || !strings.Contains(log, "CACHE_SECRTE is no setting; is CACHE_SECRET meant?") || strings.Contains(log, "telltale") {
		t.Errorf("%s", log)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-check"}, []string{"AUTHENTIK_URL=" + up.URL, "CACHE_TLL=5s"}, &out, &out); err != nil || !strings.Contains(out.String(), "CACHE_TLL is no setting; is CACHE_TTL meant?") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// healthcheck runs -healthcheck.
func healthcheck(t *testing.T, environ ...string) (exit int, stderr string) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), []string{"-healthcheck"}, environ, io.Discard, &out)
	return app.ExitCode(err, &out), out.String()
}

func TestHealthcheck(t *testing.T) {
	a := startApp(t, []string{"-demo"})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(a.URL, "http://"))
	for name, environ := range map[string][]string{
		"its address":          {"LISTEN_ADDR=127.0.0.1:" + port},
		"a name":               {"LISTEN_ADDR=localhost:" + port},
		"every interface":      {"LISTEN_ADDR=:" + port},
		"every IPv4 interface": {"LISTEN_ADDR=0.0.0.0:" + port},
		"every IPv6 interface": {"LISTEN_ADDR=[::]:" + port},
		"the last of two":      {"LISTEN_ADDR=x", "LISTEN_ADDR=:" + port},
		"nothing else is read": {"LISTEN_ADDR=:" + port, "AUTHENTIK_URL=x", "CACHE_SECRET_FILE=testdata/none", "CACHE_TTL=x"},
	} {
		t.Run(name, func(t *testing.T) {
			if exit, stderr := healthcheck(t, environ...); exit != 0 || stderr != "" {
				t.Errorf("exit code %d: %s", exit, stderr)
			}
		})
	}
}

// TestHealthcheckFails: every failure is one line and exit code 1.
func TestHealthcheckFails(t *testing.T) {
	t.Parallel()
	healthy := startApp(t, []string{"-demo"})
	answers := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.Listener.Addr().String()
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for _, tt := range []struct{ name, addr, want string }{
		{"no listener", "127.0.0.1:1", "unhealthy: dial tcp 127.0.0.1:1: "},
		{"another status", answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), " answers /healthz with status 503"},
		{"a redirect to what is healthy", answers(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, healthy.URL+"/healthz", http.StatusFound)
		}), " answers /healthz with status 302"},
		{"silence", silent.Addr().String(), " does not answer within 2s"},
		{"no address", "8080", "unhealthy: LISTEN_ADDR is not host:port; for example "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exit, stderr := healthcheck(t, "LISTEN_ADDR="+tt.addr)
			if exit != 1 || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d: %s", exit, stderr)
			}
		})
	}
}

// TestFakeAuthentik runs two services in front of one fake authentik, as its output says.
func TestFakeAuthentik(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, done := newBuffer(), make(chan error, 1)
	go func() { done <- run(ctx, []string{"-fake-authentik", "127.0.0.1:0"}, nil, stdout, io.Discard) }()
	select {
	case <-stdout.Contains("Tokens: "):
	case err := <-done:
		t.Fatalf("it ended at once: %v", err)
	}
	setting := regexp.MustCompile(`AUTHENTIK_URL=http://127.0.0.1:\d+`).FindString(stdout.String())
	token := regexp.MustCompile(`Tokens: (\S+),`).FindStringSubmatch(stdout.String())
	if setting == "" || token == nil {
		t.Fatalf("no address or token:\n%s", stdout)
	}
	for range 2 {
		a := startApp(t, nil, setting)
		if got := query(t, a.URL, token[1], aliceCode); len(got.Errors) > 0 {
			t.Errorf("%s", got.Body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ended with: %v", err)
	}
}

// TestSelfSignedAuthentik: a self-signed certificate is trusted only if AUTHENTIK_CA_FILE names it.
func TestSelfSignedAuthentik(t *testing.T) {
	t.Parallel()
	world := upstreamtest.New(upstreamtest.Options{})
	world.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
	srv := httptest.NewUnstartedServer(world)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake
	srv.StartTLS()
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "authentik.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := startApp(t, nil, "AUTHENTIK_URL="+srv.URL)
	if got := query(t, stranger.URL, upstreamtest.TokenAlice, aliceCode); got.Codes() != "UPSTREAM_UNAVAILABLE" {
		t.Errorf("without the file: %s", got.Body)
	}
	friend := startApp(t, nil, "AUTHENTIK_URL="+srv.URL, "AUTHENTIK_CA_FILE="+file)
	if got := query(t, friend.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
		t.Errorf("with the file: %s", got.Body)
	}
}

// TestPinnedAuthentik: AUTHENTIK_CERT_SHA256 alone lets the service use a certificate such as authentik's default
// one. If authentik presents another, -check and the log say which.
func TestPinnedAuthentik(t *testing.T) {
	t.Parallel()
	world := upstreamtest.New(upstreamtest.Options{})
	world.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour)})
	certificate := servicetest.DefaultCertificate(t, time.Now())
	srv := servicetest.StartTLS(t, world, certificate)
	good := servicetest.Fingerprint(certificate)
	other := servicetest.Fingerprint(servicetest.DefaultCertificate(t, time.Now()))

	friend := startApp(t, nil, "AUTHENTIK_URL="+srv.URL, "AUTHENTIK_CERT_SHA256="+other+","+good)
	if got := query(t, friend.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
		t.Errorf("with the pin: %s", got.Body)
	}
	stranger := startApp(t, nil, "AUTHENTIK_URL="+srv.URL, "AUTHENTIK_CERT_SHA256="+other)
	got := query(t, stranger.URL, upstreamtest.TokenAlice, aliceCode)
	const advice = "either authentik has a new one, or something else answers at AUTHENTIK_URL"
	if log := stranger.Log.String(); got.Codes() != "UPSTREAM_UNAVAILABLE" || strings.Contains(string(got.Body), good) || !strings.Contains(log, good) || !strings.Contains(log, advice) {
		t.Errorf("with another pin: %s\n%s", got.Body, log)
	}
	for pin, want := range map[string]string{good: "authentik  ok\n", other: "authentik  FAILED  "} {
		var out bytes.Buffer
		err := run(t.Context(), []string{"-check"}, []string{"AUTHENTIK_URL=" + srv.URL, "AUTHENTIK_CERT_SHA256=" + pin}, &out, io.Discard)
		if !strings.Contains(out.String(), want) || (err != nil) != strings.Contains(out.String(), good) || (err != nil) != strings.Contains(out.String(), advice) {
			t.Errorf("-check: %v\n%s", err, out.String())
		}
	}
}

func TestPathPrefix(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{PathPrefix: "/auth"})
	if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
		t.Errorf("got %s", got.Body)
	}
}

// TestDemoBanner: what the demo announces is true.
func TestDemoBanner(t *testing.T) {
	t.Parallel()
	plain := startApp(t, []string{"-demo"})
	newest := regexp.MustCompile(`(\d+) and up come and go: a new one every few seconds\n`).FindStringSubmatch(plain.Stdout.String())
	if newest == nil {
		t.Fatalf("no newest id:\n%s", plain.Stdout)
	}
	if got := query(t, plain.URL, "demo-root", `{ authorizationCode(id: `+newest[1]+`) { id } }`); len(got.Errors) > 0 {
		t.Errorf("%s: %s", newest[1], got.Body)
	}

	documents := writeFile(t, filepath.Join(t.TempDir(), "documents.json"), `{"code":"{ authorizationCode(id: 17) { id } }"}`)
	for name, tt := range map[string]struct {
		settings []string
		want     string
	}{
		"no Playground": {[]string{"PLAYGROUND=false"}, "  Playground   turned off by PLAYGROUND=false\n"},
		"trusted alone": {[]string{"TRUSTED_DOCUMENTS=" + documents, "TRUSTED_DOCUMENTS_ONLY=true"}, "  Playground   turned off by TRUSTED_DOCUMENTS_ONLY\n"},
		"its own token": {newServiceFiles(t, upstreamtest.TokenRoot, callerOf("a", "t1")).settings(), "  Tokens       those of CALLERS_FILE\n"},
	} {
		a := startApp(t, []string{"-demo"}, tt.settings...)
		banner := a.Stdout.String()
		if !strings.Contains(banner, tt.want) || strings.Contains(banner, "Try:") != (name == "no Playground") {
			t.Errorf("%s:\n%s", name, banner)
		}
	}
}

// TestDemoErrors asks for each id with a fixed error.
func TestDemoErrors(t *testing.T) {
	t.Parallel()
	a := startApp(t, []string{"-demo"}, "UPSTREAM_TIMEOUT=1s")
	for _, e := range demo.Errors() {
		if e.Code == "" {
			t.Errorf("%s has no code", e.ID)
		}
		got := query(t, a.URL, "demo-bob", `{ authorizationCode(id: "`+e.ID+`") { id } }`)
		if got.Codes() != e.Code {
			t.Errorf("%s answers %s, announced is %s", e.ID, got.Codes(), e.Code)
		}
	}
}

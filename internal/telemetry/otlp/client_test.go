package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// batch is one span.
func batch() []*tracepb.ResourceSpans {
	return []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "one"}}}}}}
}

func mustClient(t *testing.T, variables string) *Client {
	t.Helper()
	c, err := fromVariables(variables)
	if err != nil || !c.Enabled() {
		t.Fatal(c.Warnings, err)
	}
	return c
}

// TestUploadByTLS sends spans, compressed, to a collector that demands a certificate.
func TestUploadByTLS(t *testing.T) {
	var got *http.Request
	var body []byte
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	certificate, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := mustClient(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+srv.URL+"/base OTEL_EXPORTER_OTLP_COMPRESSION=gzip"+
		" OTEL_EXPORTER_OTLP_HEADERS=generic=x OTEL_EXPORTER_OTLP_TRACES_HEADERS=key=a%20b,other=c"+
		" OTEL_EXPORTER_OTLP_CERTIFICATE="+certificate+" OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE="+certificate+" OTEL_EXPORTER_OTLP_CLIENT_KEY="+key)
	if err := c.UploadTraces(t.Context(), batch()); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/base/v1/traces" || got.ContentLength != int64(len(body)) {
		t.Errorf("%s %s of %d bytes", got.Method, got.URL, got.ContentLength)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "Key": "a b", "Other": "c", "Generic": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q", name, got.Header.Get(name))
		}
	}
	plain, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	traces := &tracepb.TracesData{}
	if body, err = io.ReadAll(plain); err != nil || proto.Unmarshal(body, traces) != nil {
		t.Fatal(err)
	}
	if !proto.Equal(traces, &tracepb.TracesData{ResourceSpans: batch()}) {
		t.Errorf("got %v", traces)
	}
}

// responses is a transport that answers each request with the next of some responses, and the last one
// again.
type responses struct {
	all  []response
	sent []time.Time
	body string // of the last request
}

type response struct {
	status            int
	retryAfter, words string
}

func (rs *responses) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	rs.body, rs.sent = string(body), append(rs.sent, time.Now())
	next := rs.all[min(len(rs.sent), len(rs.all))-1]
	return &http.Response{
		StatusCode: next.status, Header: http.Header{"Retry-After": {next.retryAfter}},
		Body: io.NopCloser(strings.NewReader(next.words)),
	}, err
}

// TestRetries: what is sent again, and when.
func TestRetries(t *testing.T) {
	ok := response{200, "", ""}
	for _, tt := range []struct {
		name      string
		responses []response
		requests  int
		least     time.Duration // from the first to the last request
		most      time.Duration
		err       string
	}{
		{"success", []response{ok}, 1, 0, 0, ""},
		{"any success", []response{{202, "", ""}}, 1, 0, 0, ""},
		{"it is busy", []response{{429, "", ""}, ok}, 2, 500 * time.Millisecond, 1500 * time.Millisecond, ""},
		{"each status", []response{{429, "", ""}, {502, "", ""}, {503, "", ""}, {504, "", ""}, ok}, 5, 7500 * time.Millisecond, 22500 * time.Millisecond, ""},
		{"it says when", []response{{503, "17", ""}, ok}, 2, 17 * time.Second, 17 * time.Second, ""},
		{"it says a date", []response{{503, "Sat, 01 Jan 2000 00:00:20 GMT", ""}, ok}, 2, 20 * time.Second, 20 * time.Second, ""},
		{"it says a date that passed", []response{{503, "Fri, 31 Dec 1999 00:00:20 GMT", ""}, ok}, 2, 500 * time.Millisecond, 1500 * time.Millisecond, ""},
		{"not in time", []response{{503, "61", "s3cr3t"}}, 1, 0, 0, "HTTP status 503"},
		{"never", []response{{503, "", "s3cr3t"}}, 5, 7500 * time.Millisecond, time.Minute, "HTTP status 503"},
		{"it refuses", []response{{403, "1", "s3cr3t"}}, 1, 0, 0, "HTTP status 403"},
		{"elsewhere", []response{{307, "", ""}}, 1, 0, 0, "HTTP status 307"},
		{"it rejects some", []response{{200, "", "\x0a\x0a\x08\x05\x12\x06s3cr3t"}}, 1, 0, 0, "5 spans were rejected"},
		{"it warns", []response{{200, "", "\x0a\x08\x12\x06s3cr3t"}}, 1, 0, 0, ""},
		{"it says something else", []response{{200, "", "{}"}}, 1, 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c, transport := mustClient(t, endpoint), &responses{all: tt.responses}
				c.http.Transport = transport
				err := c.UploadTraces(ctx, batch())
				if err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
					t.Errorf("got %v", err)
				}
				took := transport.sent[len(transport.sent)-1].Sub(transport.sent[0])
				if n := len(transport.sent); n < tt.requests || n > tt.requests && tt.name != "never" || took < tt.least || took > tt.most {
					t.Errorf("%d requests in %v", n, took)
				}
				if want, _ := proto.Marshal(&tracepb.TracesData{ResourceSpans: batch()}); transport.body != string(want) {
					t.Errorf("sent %q", transport.body)
				}
			})
		})
	}
}

// TestStopEndsUploads that wait for a retry.
func TestStopEndsUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustClient(t, endpoint)
		c.http.Transport = &responses{all: []response{{503, "3600", ""}}}
		ended := make(chan error)
		go func() { ended <- c.UploadTraces(context.Background(), batch()) }()
		synctest.Wait()
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("it was sent")
		}
	})
}

// TestUnreachableCollector: errors do not hold the URL.
func TestUnreachableCollector(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	refused := mustClient(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1/s3cr3t").UploadTraces(t.Context(), batch())
	if refused == nil || !strings.HasSuffix(refused.Error(), "connection refused") || strings.Contains(refused.Error(), "s3cr3t") {
		t.Errorf("got %v", refused)
	}
	for name, timeout := range map[string]string{"of the variable": "20", "of the upload": "60000"} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		late := mustClient(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+silent.URL+" OTEL_EXPORTER_OTLP_TIMEOUT="+timeout).UploadTraces(ctx, batch())
		if !errors.Is(late, ErrTimeout) || (ctx.Err() == nil) != (timeout == "20") {
			t.Errorf("the timeout %s: %v", name, late)
		}
	}
}

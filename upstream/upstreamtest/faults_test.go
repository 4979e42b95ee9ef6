package upstreamtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// want is what a client sees of a fault.
type want struct {
	status int // 0: no answer at all
	mime   string
	header string // "Name: value" that must be there
	body   string // part of the body
	cut    bool   // the body ends before its time
}

var wantOf = map[string]want{
	"status-401":            {status: 401, mime: "application/json", header: `Www-Authenticate: Bearer realm="proxy"`},
	"forbidden-403":         {status: 403, mime: "application/json", body: `{"detail":"You do not have permission to perform this action."}`},
	"token-invalid-403":     {status: 403, mime: "application/json", body: `{"detail":"Token invalid/expired"}`},
	"bad-request-400":       {status: 400, mime: "application/json", body: `{"user":["Select a valid choice.`},
	"not-acceptable-406":    {status: 406, mime: "application/json", body: `{"detail":"Could not satisfy the request Accept header."}`},
	"throttled-429":         {status: 429, mime: "application/json", header: "Retry-After: 60", body: `{"detail":"Request was throttled. Expected available in 60 seconds."}`},
	"error-500":             {status: 500, mime: "text/html; charset=utf-8", body: "<!DOCTYPE html>"},
	"empty-405":             {status: 405, mime: "text/html; charset=utf-8", header: "Allow: GET, HEAD, OPTIONS"},
	"starting-502-text":     {status: 502, mime: "text/plain; charset=utf-8", body: "failed to connect to authentik backend: authentik starting"},
	"starting-502-json":     {status: 502, mime: "text/plain; charset=utf-8", body: `{"error":"failed to connect to authentik backend: authentik starting"}`},
	"starting-200":          {status: 200, mime: "application/json", header: "Retry-After: 5", body: `{"error":"authentik starting"}`},
	"starting-503-json":     {status: 503, mime: "application/json", header: "Retry-After: 5", body: `{"error":"authentik starting"}`},
	"starting-503-text":     {status: 503, mime: "text/plain", header: "Retry-After: 5", body: "authentik starting"},
	"starting-503-html":     {status: 503, mime: "text/html", header: "Retry-After: 5", body: "<!DOCTYPE html>"},
	"backend-down-502-json": {status: 502, mime: "application/json", body: `{"error":"failed to connect to authentik backend: dial unix `},
	"backend-down-502-text": {status: 502, mime: "text/plain", body: "failed to connect to authentik backend: dial unix "},
	"not-ready-503":         {status: 503, mime: "application/json", header: "Retry-After: 5", body: `{"error":"authentik starting"}`},
	"lost-503":              {status: 503, mime: "application/json", header: "Retry-After: 5", body: `{"error":"authentik starting"}`},
	"timeout-408":           {status: 408, header: "Content-Length: 0"},
	"html-404":              {status: 404, mime: "text/html; charset=utf-8", body: "<!DOCTYPE html>"},
	"text-404":              {status: 404, mime: "text/plain; charset=utf-8", body: "404 page not found"},
	"html-200":              {status: 200, mime: "text/html; charset=utf-8", body: "<!DOCTYPE html>"},
	"redirect-301":          {status: 301, header: "Location: /api/v3/oauth2/"},
	"redirect-302":          {status: 302, header: "Location: /if/flow/default-authentication-flow/?next=/"},
	"empty-200":             {status: 200, mime: "application/json", header: "Content-Length: 0"},
	"wrong-json":            {status: 200, mime: "application/json", body: "<nothing"},
	"wrong-array":           {status: 200, mime: "application/json", body: `[{"pk":1}]`},
	"wrong-object":          {status: 200, mime: "application/json", body: `{"pagination":`},
	"wrong-pk":              {status: 200, mime: "application/json", body: `{"pk":18,"provider":{"pk":1,`},
	"cut-json":              {status: 200, mime: "application/json", body: `{"pk":17,`, cut: true},
	"hang":                  {},
	"reset":                 {},
	"drop-kept-alive":       {status: 200, mime: "application/json", body: `{"pk":17,`},
	"endless":               {status: 200, mime: "application/json", body: `{"pk":1,"scope":["openid"`, cut: true},
	"huge":                  {status: 200, mime: "application/json", body: `{"pk":1,"provider":{"pk":1},"user":{"pk":1},"scope":["aaa`},
	"slow-headers":          {status: 200, mime: "application/json", body: `{"pk":17,`},
	"slow-body":             {status: 200, mime: "application/json", body: `{"pk":17,`},
}

func TestFaults(t *testing.T) {
	names := map[string]bool{}
	for _, fault := range upstreamtest.Faults() {
		if names[fault.Name] {
			t.Errorf("two faults called %q", fault.Name)
		}
		names[fault.Name] = true
		t.Run(fault.Name, func(t *testing.T) {
			switch fault.Name { // the usual forms of these are for people
			case "slow-headers":
				fault = upstreamtest.SlowHeaders(time.Millisecond)
			case "slow-body":
				fault = upstreamtest.SlowBody(10 * time.Millisecond)
			}
			w, known := wantOf[fault.Name]
			if !known {
				t.Fatal("not in the table")
			}
			fake, srv := faulty(t, fault)
			checkFault(t, fake, srv, w)
		})
	}
	if len(names) != len(wantOf) {
		t.Errorf("%d faults, %d in the table", len(names), len(wantOf))
	}
}

// faulty serves alice's code 17 with a fault in force.
func faulty(t *testing.T, fault upstreamtest.Fault) (*upstreamtest.Authentik, *httptest.Server) {
	t.Helper()
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	fake.SetFault(17, fault)
	return fake, start(t, fake)
}

func checkFault(t *testing.T, fake *upstreamtest.Authentik, srv *httptest.Server, w want) {
	t.Helper()
	patience := 30 * time.Second
	if w.status == 0 {
		patience = 100 * time.Millisecond // there is nothing to wait for
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := get(ctx, srv.Client(), srv.URL)
	if w.status == 0 {
		if err == nil {
			resp.Body.Close()
			t.Fatalf("an answer: %d", resp.StatusCode)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if w.cut {
		fake.Close() // else an endless body would be endless
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if (err != nil) != w.cut {
		t.Errorf("error %v, want one: %v", err, w.cut)
	}
	if resp.StatusCode != w.status || resp.Header.Get("Content-Type") != w.mime {
		t.Errorf("%d %q, want %d %q", resp.StatusCode, resp.Header.Get("Content-Type"), w.status, w.mime)
	}
	if name, value, ok := strings.Cut(w.header, ": "); ok && resp.Header.Get(name) != value {
		t.Errorf("%s: %q, want %q", name, resp.Header.Get(name), value)
	}
	if !bytes.Contains(body, []byte(w.body)) {
		t.Errorf("body %.300s, want %s", body, w.body)
	}
}

// get asks for code 17 as alice, without following redirects.
func get(ctx context.Context, client *http.Client, base string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+upstreamtest.Path+"17/", nil)
	if err != nil {
		return nil, err
	}
	req.Header = bearer(upstreamtest.TokenAlice)
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c.Do(req)
}

func TestResetIsAReset(t *testing.T) {
	_, srv := faulty(t, upstreamtest.Reset)
	resp, err := get(t.Context(), srv.Client(), srv.URL)
	if err == nil {
		resp.Body.Close()
		t.Fatal("an answer")
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}

func TestHugeIsHuge(t *testing.T) {
	const size = 3<<20 + 7
	_, srv := faulty(t, upstreamtest.Huge(size))
	_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"17/", bearer(upstreamtest.TokenAlice))
	parse(t, body)
	if len(body) < size {
		t.Errorf("%d bytes", len(body))
	}
}

// The second request of a connection is dropped. Go's client tries a GET again
// on a new connection, so the fake sees three requests and the caller two
// answers; a request with a body that cannot be sent again fails.
func TestDropKeptAlive(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	srv := start(t, fake)
	ask := func() {
		t.Helper()
		resp, err := get(t.Context(), srv.Client(), srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", resp.StatusCode, err)
		}
	}
	ask()
	fake.SetFault(17, upstreamtest.DropKeptAlive)
	ask()
	if got := fake.Retrieves(17); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+upstreamtest.Path+"17/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := srv.Client().Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

func TestErrorPageOfUnsafeMethods(t *testing.T) {
	_, srv := faulty(t, upstreamtest.Error500)
	status, h, body := send(t, http.MethodDelete, srv.URL+upstreamtest.Path+"17/", bearer(upstreamtest.TokenAlice))
	if status != http.StatusMethodNotAllowed || len(body) != 0 || h.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("%d %v %q", status, h, body)
	}
}

func TestScopeOfFaults(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	for _, pk := range []int32{17, 18} {
		fake.AddCode(upstreamtest.Code{PK: pk, Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	}
	srv := start(t, fake)
	check := func(step string, want map[string]int) {
		t.Helper()
		for path, status := range want {
			if got, _, _ := send(t, http.MethodGet, srv.URL+path, bearer(upstreamtest.TokenAlice)); got != status {
				t.Errorf("%s: %s: %d, want %d", step, path, got, status)
			}
		}
	}
	const p, ready = upstreamtest.Path, "/-/health/ready/"
	fake.SetFault(17, upstreamtest.Throttled429)
	check("one id", map[string]int{p + "17/": 429, p + "017/": 429, p + "18/": 200, p: 200, ready: 200})
	fake.SetFault(upstreamtest.AllRequests, upstreamtest.Error500)
	check("all", map[string]int{p + "17/": 429, p + "18/": 500, p: 500, ready: 200})
	fake.SetFault(upstreamtest.HealthRequests, upstreamtest.Starting503JSON)
	check("health", map[string]int{p + "18/": 500, ready: 503})
	fake.SetFault(17, upstreamtest.Fault{})
	check("id cleared", map[string]int{p + "17/": 500})
	fake.ClearFaults()
	check("cleared", map[string]int{p + "17/": 200, p: 200, ready: 200})
}

func TestLatency(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	fake.SetLatency(time.Hour)
	srv := start(t, fake)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	resp, err := get(ctx, srv.Client(), srv.URL)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Close frees a request that hangs, without the client's help.
func TestCloseEndsHang(t *testing.T) {
	arrived := make(chan struct{})
	fake := upstreamtest.New(upstreamtest.Options{OnRequest: func(*http.Request) { close(arrived) }})
	fake.SetFault(17, upstreamtest.Hang)
	srv := start(t, fake)
	failed := make(chan error, 1)
	go func() {
		resp, err := get(t.Context(), srv.Client(), srv.URL)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	fake.Close()
	if err := <-failed; err == nil {
		t.Error("an answer")
	}
}

// TestNotReady checks the answer for a core that is not ready: the form follows the Accept header, the method does
// not matter, and a request whose answer was lost was performed.
func TestNotReady(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	fake.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserDave, Expires: anHourAhead})
	srv := start(t, fake)
	ask := func(method, accept string) (status int, mime, retryAfter string) {
		headers := bearer(upstreamtest.TokenDave)
		headers.Set("Accept", accept)
		status, got, _ := send(t, method, srv.URL+upstreamtest.Path+"17/", headers)
		return status, got.Get("Content-Type"), got.Get("Retry-After")
	}
	fake.SetFault(17, upstreamtest.NotReady503)
	for _, tt := range []struct{ method, accept, mime, retryAfter string }{
		{"GET", "application/json", "application/json", "5"},
		{"DELETE", "application/json", "application/json", "5"},
		{"GET", "text/html,application/xhtml+xml", "text/html; charset=utf-8", ""},
		{"GET", "*/*", "text/plain; charset=utf-8", ""},
	} {
		if status, mime, after := ask(tt.method, tt.accept); status != 503 || mime != tt.mime || after != tt.retryAfter {
			t.Errorf("%s for %s: %d %q, retry after %q", tt.method, tt.accept, status, mime, after)
		}
	}
	if _, there := fake.Code(17); !there {
		t.Error("a request that was refused deleted the code")
	}
	fake.SetFault(17, upstreamtest.Lost503)
	if status, _, _ := ask("DELETE", "application/json"); status != 503 {
		t.Errorf("lost: %d", status)
	}
	if _, there := fake.Code(17); there {
		t.Error("a request whose answer was lost did not delete the code")
	}
}

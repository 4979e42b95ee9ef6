package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/graph/document"
	"authentik-graphql/internal/config"
	"authentik-graphql/upstream/upstreamtest"
)

// TestEveryLimit exceeds each limit and wants an error that names it. Limits that can be set are set low.
func TestEveryLimit(t *testing.T) {
	t.Parallel()
	up := aliceHas17(t)
	text := func(document string) object { return object{"query": document} }
	many := make([]object, 3)
	for i := range many {
		many[i] = object{"__typename": "AuthorizationCode", "id": fmt.Sprint(17 + i)}
	}
	repeat := strings.Repeat
	fields := func(n int) (all string) {
		for i := range n {
			all += fmt.Sprintf("a%d: __typename ", i)
		}
		return all
	}
	deep := any(object{})
	for range document.MaxValueDepth {
		deep = []any{deep}
	}
	entities := `query($r:[_Any!]!){_entities(representations:$r){__typename}}`
	for _, tt := range []struct {
		setting, value string
		body           any
		status         int
		code           string
	}{
		{"MAX_BODY", "100", text(strings.Repeat(" ", 100)), 413, "PAYLOAD_TOO_LARGE"},
		{"MAX_TOKENS", "5", text(`{ a: __typename b: __typename }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_DEPTH", "2", text(`{ authorizationCode(id: 17) { user { id } } }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_REPRESENTATIONS", "2", object{"query": entities, "variables": object{"r": many}}, 200, "LIMIT_EXCEEDED"},
		{"MAX_COMPLEXITY", "3", object{"query": entities, "variables": object{"r": many}}, 200, "LIMIT_EXCEEDED"},
		{"MAX_ANSWER", "50", text(`{ authorizationCode(id: 17) { user { name username email uid avatar } } }`), 200, "LIMIT_EXCEEDED"},
		{"OPERATION_UPSTREAM_CALLS", "2", text(`{ a: authorizationCode(id: 17) { id } b: authorizationCode(id: 17) { id } c: authorizationCode(id: 18) { id } d: authorizationCode(id: 19) { id } }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_NAME", "128", text(`{ ` + repeat("a", 129) + `: __typename }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_FIELDS", "3000", text(`{ ...F ...F ...F } fragment F on Query { ...G ...G ...G ...G } fragment G on Query { ` + repeat("__typename ", 250) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_ALIASES", "200", text(`{ authorizationCode(id: 17) { ` + fields(201) + `} }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_ROOT_FIELDS", "100", text(`{ ` + fields(101) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_REPEATS", "100", text(`{ ` + repeat("__typename ", 101) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_DIRECTIVES", "100", text(`{ __typename ` + repeat("@skip(if: false) ", 101) + `}`), 200, "LIMIT_EXCEEDED"},
		{"MAX_OPERATIONS", "10", text(repeat(`query { __typename } `, 11)), 200, "LIMIT_EXCEEDED"},
		{"MAX_VALUE_DEPTH", "10", object{"query": entities, "variables": object{"r": deep}}, 400, "LIMIT_EXCEEDED"},
		{"MAX_VARIABLES", "32768", object{"query": entities, "variables": object{"r": repeat("a", document.MaxVariables)}}, 400, "LIMIT_EXCEEDED"},
		{"MAX_INTROSPECTION_DEPTH", "2", text(`{ __type(name: "Query") { fields { type { fields { type { fields { name } } } } } } }`), 200, "LIMIT_EXCEEDED"},
		{"MAX_ERRORS", "10", text(`{ a b c d e f g h i j k }`), 200, "LIMIT_EXCEEDED"},
	} {
		t.Run(tt.setting, func(t *testing.T) {
			var set []string
			if slices.ContainsFunc(config.Settings(), func(s config.Setting) bool { return s.Name == tt.setting }) {
				set = []string{tt.setting + "=" + tt.value}
			}
			got := post(t, startApp(t, nil, append(set, "AUTHENTIK_URL="+up.URL)...).URL, tt.body)
			last := len(got.Errors) - 1
			if got.Status != tt.status || last < 0 || !strings.Contains(got.Codes(), tt.code) {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			if want := tt.setting + " allows, which is " + tt.value + "."; !strings.Contains(string(got.Body), want) ||
				!strings.Contains(string(got.Body), `"limit":"`+tt.setting+`"`) {
				t.Errorf("want %q in %s", want, got.Body)
			}
		})
	}
	base := startApp(t, nil, "AUTHENTIK_URL="+up.URL).URL
	t.Run("MAX_URL", func(t *testing.T) {
		got := get(t, base, map[string]string{"query": repeat(" ", document.MaxURL)})
		if got.Status != 414 || got.Codes() != "URI_TOO_LONG" || !strings.Contains(string(got.Body), `"limit":"MAX_URL"`) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("MAX_HEADERS", func(t *testing.T) {
		req := newRequest(t, http.MethodPost, base+"/graphql", strings.NewReader("{}"))
		req.Header.Set("X-Large", repeat("a", document.MaxHeaders))
		got := send(t, req)
		if got.Status != 431 || got.Codes() != "HEADERS_TOO_LARGE" || !strings.Contains(string(got.Body), `"limit":"MAX_HEADERS"`) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("OPERATION_TIMEOUT", func(t *testing.T) {
		slow := startFake(t, upstreamtest.Options{})
		slow.SetFault(17, upstreamtest.Hang)
		base := startApp(t, nil, "AUTHENTIK_URL="+slow.URL, "OPERATION_TIMEOUT=50ms").URL
		if got := post(t, base, text(oneCode)); got.Codes() != "GATEWAY_TIMEOUT" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		slow.Close() // ends hanging requests
	})
}

// TestConnectionLimit: a connection over the limit gets an error, and the others are served.
func TestConnectionLimit(t *testing.T) {
	base := startApp(t, []string{"-demo"}, "MAX_CONNECTIONS=3").URL
	addr := strings.TrimPrefix(base, "http://")
	ask := func(c net.Conn, path string) string {
		t.Helper()
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	answer := func(c net.Conn) string { return ask(c, "/nothing") }
	dial := func() net.Conn {
		t.Helper()
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	var first net.Conn
	for range 3 {
		first = dial()
		if got := answer(first); !strings.HasPrefix(got, "HTTP/1.1 404") {
			t.Fatal(got)
		}
	}
	got := answer(dial())
	for _, want := range []string{"HTTP/1.1 503", "Connection: close", "TOO_MANY_CONNECTIONS", "MAX_CONNECTIONS", "Retry-After"} {
		if !strings.Contains(got, want) {
			t.Errorf("over the limit, want %q in %s", want, got)
		}
	}
	for _, probe := range []string{"/healthz", "/readyz"} {
		if got := ask(dial(), probe); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s over the limit: %s", probe, got)
		}
	}
	if got := answer(first); !strings.HasPrefix(got, "HTTP/1.1 404") {
		t.Errorf("on a connection within the limit: %s", got)
	}
	_ = first.Close()
	cachetest.Eventually(t, "a closed connection makes room", func() bool { return strings.HasPrefix(answer(dial()), "HTTP/1.1 404") })
}

// TestAdminIsNotFilled: idle connections do not keep probes out.
func TestAdminIsNotFilled(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	addr := strings.TrimPrefix(a.Admin, "http://")
	for range 16 + 64/2 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if got := fetch(t, a.Admin+"/healthz"); got.Status != http.StatusOK {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
}

// TestBodyOverTheLimitEndsTheConnection: the rest of the body is not read.
func TestBodyOverTheLimitEndsTheConnection(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	req := newRequest(t, http.MethodPost, a.URL+"/graphql", strings.NewReader(`{"query":"`+strings.Repeat(" ", 100<<10)+`"}`))
	req.Header.Set("Content-Type", "application/json")
	got := send(t, req)
	if got.Status != http.StatusRequestEntityTooLarge || got.Codes() != "PAYLOAD_TOO_LARGE" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if !got.Closed {
		t.Error("the connection stays open")
	}
}

// TestUnwantedBodyIsNotAwaited: a client that sends Expect: 100-continue is refused at once.
func TestUnwantedBodyIsNotAwaited(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	for contentType, want := range map[string]int{"application/json": http.StatusOK, "text/plain": http.StatusUnsupportedMediaType} {
		if status, read := sendExpecting(t, a.URL, contentType); status != want || read != (want == http.StatusOK) {
			t.Errorf("%s: status %d, want %d; body sent %t", contentType, status, want, read)
		}
	}
}

// sendExpecting sends a query with Expect: 100-continue and reports whether its body was read. The response
// must come well before the server stops waiting for the body, which it does after 10 seconds.
func sendExpecting(t *testing.T, url, contentType string) (status int, read bool) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	body := &watchedBody{Reader: strings.NewReader(`{"query":"{ __typename }"}`)}
	req := newRequest(t, http.MethodPost, url+"/graphql", body).WithContext(ctx)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Expect", "100-continue")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, body.read.Load()
}

// watchedBody records whether it was read.
type watchedBody struct {
	io.Reader
	read atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.Reader.Read(p)
}

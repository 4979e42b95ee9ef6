package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// untilDate are header lines that ask for a wait until 90 seconds after the answer's own time.
var untilDate = []string{"Date", "Wed, 21 Oct 2026 07:26:30 GMT", "Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"}

// TestErrorCodes has a row for each fault of authentik. Each has its own service, so that no row opens the
// circuit breaker of another.
func TestErrorCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		fault      upstreamtest.Fault
		code       string
		status     int
		retryAfter int
	}{
		{"401", upstreamtest.Status401, "UNAUTHENTICATED", 401, 0},
		{"403 that rejects the token", upstreamtest.TokenInvalid403, "UNAUTHENTICATED", 403, 0},
		{"403 that refuses", upstreamtest.Forbidden403, "FORBIDDEN", 403, 0},
		{"400", upstreamtest.BadRequest400, "BAD_USER_INPUT", 400, 0},
		{"429", upstreamtest.Throttled429, "RATE_LIMITED", 429, 60},
		{"500", upstreamtest.Error500, "UPSTREAM_ERROR", 500, 0},
		{"starting, 502 text", upstreamtest.Starting502Text, "UPSTREAM_UNAVAILABLE", 502, 0},
		{"starting, 502 JSON", upstreamtest.Starting502JSON, "UPSTREAM_UNAVAILABLE", 502, 0},
		{"starting, 200", upstreamtest.Starting200, "UPSTREAM_UNAVAILABLE", 200, 5},
		{"starting, 503 JSON", upstreamtest.Starting503JSON, "UPSTREAM_UNAVAILABLE", 503, 5},
		{"starting, 503 text", upstreamtest.Starting503Text, "UPSTREAM_UNAVAILABLE", 503, 5},
		{"starting, 503 page", upstreamtest.Starting503HTML, "UPSTREAM_UNAVAILABLE", 503, 5},
		{"reset", upstreamtest.Reset, "UPSTREAM_UNAVAILABLE", 0, 0},
		{"hung", upstreamtest.Hang, "GATEWAY_TIMEOUT", 0, 0},
		{"endless", upstreamtest.Endless, "GATEWAY_TIMEOUT", 200, 0},
		{"404 page", upstreamtest.HTML404, "UPSTREAM_INVALID_RESPONSE", 404, 0},
		{"404 text", upstreamtest.Text404, "UPSTREAM_INVALID_RESPONSE", 404, 0},
		{"405", upstreamtest.Empty405, "UPSTREAM_INVALID_RESPONSE", 405, 0},
		{"406", upstreamtest.NotAcceptable406, "UPSTREAM_INVALID_RESPONSE", 406, 0},
		{"301", upstreamtest.Redirect301, "UPSTREAM_INVALID_RESPONSE", 301, 0},
		{"302", upstreamtest.Redirect302, "UPSTREAM_INVALID_RESPONSE", 302, 0},
		{"page", upstreamtest.HTML200, "UPSTREAM_INVALID_RESPONSE", 200, 0},
		{"empty", upstreamtest.Empty200, "UPSTREAM_INVALID_RESPONSE", 200, 0},
		{"cut JSON", upstreamtest.CutJSON, "UPSTREAM_INVALID_RESPONSE", 200, 0},
		{"wrong JSON", upstreamtest.WrongJSON, "UPSTREAM_INVALID_RESPONSE", 200, 0},
		{"wrong shape", upstreamtest.WrongObject, "UPSTREAM_INVALID_RESPONSE", 200, 0},
		{"wrong pk", upstreamtest.WrongPK, "UPSTREAM_INVALID_RESPONSE", 200, 0},
		{"over the cap", upstreamtest.Huge(8 << 20), "UPSTREAM_INVALID_RESPONSE", 200, 0},
		{"400 page", proxyPage(400), "UPSTREAM_INVALID_RESPONSE", 400, 0},
		{"401 page", proxyPage(401), "UPSTREAM_INVALID_RESPONSE", 401, 0},
		{"403 page", proxyPage(403), "UPSTREAM_INVALID_RESPONSE", 403, 0},
		{"403 of another API", says(403, "application/json", `{"message":"Forbidden"}`), "UPSTREAM_INVALID_RESPONSE", 403, 0},
		{"408", upstreamtest.Timeout408, "GATEWAY_TIMEOUT", 408, 0},
		{"413", proxyPage(413), "UPSTREAM_INVALID_RESPONSE", 413, 0},
		{"429 with a date", says(429, "text/html", "", untilDate...), "RATE_LIMITED", 429, 90},
		{"503 with a date", says(503, "text/html", "", untilDate...), "UPSTREAM_UNAVAILABLE", 503, 90},
		{"another coding", says(200, "application/json", "\x8b\x00", "Content-Encoding", "br"), "UPSTREAM_INVALID_RESPONSE", 200, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up, a := newWorld(t, upstreamtest.Options{}, "UPSTREAM_TIMEOUT=1s")
			up.SetFault(17, tt.fault)
			got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
			if got.Status != http.StatusOK || got.Codes() != tt.code {
				t.Fatalf("got %d %s", got.Status, got.Body)
			}
			ext := got.Errors[0].Extensions
			if ext.UpstreamStatus != tt.status || ext.RetryAfter != tt.retryAfter {
				t.Errorf("upstreamStatus %d, retryAfter %d", ext.UpstreamStatus, ext.RetryAfter)
			}
			if ext.RequestID == "" || ext.RequestID != got.Header.Get("X-Request-Id") {
				t.Errorf("request id %q in the error, %q in the header", ext.RequestID, got.Header.Get("X-Request-Id"))
			}
			if string(got.Data) != `{"authorizationCode":null}` {
				t.Errorf("data %s", got.Data)
			}
			if got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", got.Header.Get("Cache-Control"))
			}
			for _, leak := range []string{up.URL, strings.TrimPrefix(up.URL, "http://"), upstreamtest.TokenAlice, "dial", "http:", "<html", "detail"} {
				if bytes.Contains(got.Body, []byte(leak)) {
					t.Errorf("the answer gives away %q: %s", leak, got.Body)
				}
			}
		})
	}
}

func TestUpstreamUnreachable(t *testing.T) {
	t.Parallel()
	up, a := newWorld(t, upstreamtest.Options{})
	refused := startApp(t, nil, "AUTHENTIK_URL=http://127.0.0.1:1")
	if got := query(t, refused.URL, "t", aliceCode); got.Codes() != "UPSTREAM_UNAVAILABLE" {
		t.Errorf("refused: %s", got.Body)
	}
	unknown := startApp(t, nil, "AUTHENTIK_URL=http://authentik.invalid")
	if got := query(t, unknown.URL, "t", aliceCode); got.Codes() != "UPSTREAM_UNAVAILABLE" {
		t.Errorf("unknown host: %s", got.Body)
	}
	wrong := startApp(t, nil, "AUTHENTIK_URL="+up.URL+"/elsewhere")
	if got := query(t, wrong.URL, upstreamtest.TokenAlice, aliceCode); got.Codes() != "UPSTREAM_INVALID_RESPONSE" {
		t.Errorf("wrong path: %s", got.Body)
	}
	if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
		t.Errorf("the right address: %s", got.Body)
	}
}

// TestRefusedWithoutACall has a row for each reason to refuse a request without a call of authentik.
func TestRefusedWithoutACall(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{})
	long := strings.Repeat("x", 8193)
	tests := []struct {
		name          string
		authorization []string
		document      string
		code          string
	}{
		{"no credential", nil, aliceCode, "UNAUTHENTICATED"},
		{"empty token", []string{"Bearer "}, aliceCode, "UNAUTHENTICATED"},
		{"bare token", []string{"demo-alice"}, aliceCode, "UNAUTHENTICATED"},
		{"basic", []string{"Basic YTpi"}, aliceCode, "UNAUTHENTICATED"},
		{"two blanks", []string{"Bearer  demo-alice"}, aliceCode, "UNAUTHENTICATED"},
		{"two headers", []string{"Bearer demo-alice", "Bearer demo-bob"}, aliceCode, "UNAUTHENTICATED"},
		{"outside ASCII", []string{"Bearer tökén"}, aliceCode, "UNAUTHENTICATED"},
		{"too long", []string{"Bearer " + long}, aliceCode, "UNAUTHENTICATED"},
		{"leading zero", []string{"Bearer demo-alice"}, `{ authorizationCode(id: "01") { id } }`, "BAD_USER_INPUT"},
		{"sign", []string{"Bearer demo-alice"}, `{ authorizationCode(id: "+1") { id } }`, "BAD_USER_INPUT"},
		{"blank", []string{"Bearer demo-alice"}, `{ authorizationCode(id: " 1") { id } }`, "BAD_USER_INPUT"},
		{"zero", []string{"Bearer demo-alice"}, `{ authorizationCode(id: 0) { id } }`, "BAD_USER_INPUT"},
		{"negative", []string{"Bearer demo-alice"}, `{ authorizationCode(id: -1) { id } }`, "BAD_USER_INPUT"},
		{"33 bits", []string{"Bearer demo-alice"}, `{ authorizationCode(id: 2147483648) { id } }`, "BAD_USER_INPUT"},
		{"100 digits", []string{"Bearer demo-alice"}, `{ authorizationCode(id: "1` + strings.Repeat("0", 99) + `") { id } }`, "BAD_USER_INPUT"},
		{"other digits", []string{"Bearer demo-alice"}, `{ authorizationCode(id: "１７") { id } }`, "BAD_USER_INPUT"},
		{"a path", []string{"Bearer demo-alice"}, `{ authorizationCode(id: "17/used_by") { id } }`, "BAD_USER_INPUT"},
		{"empty", []string{"Bearer demo-alice"}, `{ authorizationCode(id: "") { id } }`, "BAD_USER_INPUT"},
		{"unknown field", []string{"Bearer demo-alice"}, `{ nothing }`, "GRAPHQL_VALIDATION_FAILED"},
		{"not GraphQL", []string{"Bearer demo-alice"}, `{`, "GRAPHQL_PARSE_FAILED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, _ := json.Marshal(map[string]string{"query": tt.document})
			req := newRequest(t, http.MethodPost, a.URL+"/graphql", bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			req.Header["Authorization"] = tt.authorization
			if got := send(t, req); got.Codes() != tt.code {
				t.Errorf("got %s", got.Body)
			}
		})
	}
	for _, document := range []string{`{ __typename }`, `{ __schema { queryType { name } } }`, `{ _service { sdl } }`} {
		if got := query(t, a.URL, "", document); len(got.Errors) > 0 || got.Status != 200 {
			t.Errorf("%s without a credential: %s", document, got.Body)
		}
	}
	if n := up.Calls().Total; n != 0 {
		t.Errorf("%d calls reached authentik", n)
	}
}

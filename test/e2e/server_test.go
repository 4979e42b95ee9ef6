package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/internal/app"
	"authentik-graphql/upstream/upstreamtest"
)

const aliceCode = `{ authorizationCode(id: "17") { id user { username } } }`

func TestFullQueryOfEveryRelease(t *testing.T) {
	document := file(t, "graph/testdata/every-field.graphql")
	for _, release := range upstreamtest.Releases() {
		t.Run(string(release), func(t *testing.T) {
			up := startFake(t, upstreamtest.Options{Release: release})
			up.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana,
				Expires: time.Date(2099, 1, 2, 3, 4, 5, 123456000, time.UTC), Scope: []string{"openid", "email"}})
			a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "REDACT=none")
			body, err := json.Marshal(map[string]any{"query": document, "variables": map[string]any{"id": 17}})
			if err != nil {
				t.Fatal(err)
			}
			req := newRequest(t, http.MethodPost, a.URL+"/graphql", bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
			got := send(t, req)
			if len(got.Errors) > 0 {
				t.Fatalf("errors: %s", got.Body)
			}
			golden(t, filepath.Join("testdata", "golden", string(release)+".json"), got.Data)
		})
	}
}

// golden compares an answer with a file, except for fetchedAt.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	data = regexp.MustCompile(`"fetchedAt":"[^"]*"`).ReplaceAll(data, []byte(`"fetchedAt":"2026-01-02T03:04:05Z"`))
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile(name, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(name); err != nil || pretty.String() != string(want) {
		t.Errorf("the answer differs from %s: %v; got\n%s", name, err, pretty.String())
	}
}

// TestErrorCodes has a row for each situation of the README's error table. Each has a service of
// its own, whose circuit breaker knows nothing of the other rows.
func TestErrorCodes(t *testing.T) {
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
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

// TestRefusedWithoutACall covers what never reaches authentik.
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

func TestCallersShareNothing(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{})
	for range 2 {
		if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
			t.Fatalf("alice: %s", got.Body)
		}
		if got := query(t, a.URL, upstreamtest.TokenBob, aliceCode); got.Codes() != "NOT_FOUND" {
			t.Fatalf("bob: %s", got.Body)
		}
		if got := query(t, a.URL, upstreamtest.TokenRoot, aliceCode); len(got.Errors) > 0 {
			t.Fatalf("root: %s", got.Body)
		}
	}
	// One read each: bob's refusal is cached too, for bob.
	if n := up.Retrieves(17); n != 3 {
		t.Errorf("%d retrieves, want 3", n)
	}
}

func TestFreshnessIsStated(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	miss := query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	hit := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCode(id: 17) { fetchedAt } }`)
	if got := miss.Header.Get("Cache-Status"); got != "authentik-graphql; fwd=miss" {
		t.Errorf("Cache-Status of a miss: %q", got)
	}
	if got := hit.Header.Get("Cache-Status"); !strings.HasPrefix(got, "authentik-graphql; hit; ttl=35") {
		t.Errorf("Cache-Status of a hit: %q", got)
	}
	if got := hit.Header.Get("Cache-Control"); !strings.HasPrefix(got, "private, max-age=35") {
		t.Errorf("Cache-Control of a hit: %q", got)
	}
	if vary := strings.Join(hit.Header["Vary"], ", "); hit.Header.Get("Age") != "0" || vary != "Accept-Encoding, Authorization, Accept" {
		t.Errorf("Age %q, Vary %q", hit.Header.Get("Age"), vary)
	}
	if got := query(t, a.URL, "", `{ __typename }`).Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control of an answer without data: %q", got)
	}
}

func TestAliasesShareOneRead(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=0s")
	got := query(t, a.URL, upstreamtest.TokenAlice, `{
		a: authorizationCode(id: 17) { id } b: authorizationCode(id: "17") { pk }
		_entities(representations: [{__typename: "AuthorizationCode", id: 17}, {__typename: "AuthorizationCode", id: "18"}]) {
			... on AuthorizationCode { id }
		} }`)
	want := `{"a":{"id":"17"},"b":{"pk":17},"_entities":[{"id":"17"},null]}`
	if string(got.Data) != want || got.Codes() != "NOT_FOUND" {
		t.Errorf("got %s", got.Body)
	}
	if len(got.Errors) != 1 || fmt.Sprint(got.Errors[0].Path) != "[_entities 1]" {
		t.Errorf("the failed entity's path: %s", got.Body)
	}
	if n := up.Retrieves(17); n != 1 {
		t.Errorf("%d retrieves of 17, want 1", n)
	}
}

func TestExpiry(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	past, soon := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	up.AddCode(upstreamtest.Code{PK: 1, Owner: upstreamtest.UserAlice, Expires: soon})
	up.AddCode(upstreamtest.Code{PK: 2, Owner: upstreamtest.UserAlice, Expires: past})
	up.AddCode(upstreamtest.Code{PK: 3, Owner: upstreamtest.UserAlice, Expires: past, NeverExpires: true})
	up.AddCode(upstreamtest.Code{PK: 4, Owner: upstreamtest.UserAlice, NeverExpires: true})
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL)
	for pk, want := range map[int]string{1: "false", 2: "true", 3: "false", 4: "false"} {
		got := query(t, a.URL, upstreamtest.TokenAlice, fmt.Sprintf(`{ authorizationCode(id: %d) { isExpired } }`, pk))
		if string(got.Data) != `{"authorizationCode":{"isExpired":`+want+`}}` {
			t.Errorf("code %d: %s", pk, got.Body)
		}
	}
}

func TestRedactionReachesTheAnswer(t *testing.T) {
	const document = `{ authorizationCode(id: 17) { isExpired expires user { email username } provider { clientSecret logoutUri backchannelLogoutUri } } }`
	tests := []struct{ name, redact, want string }{
		{"default", "", `"clientSecret":null,"logoutUri":"https://grafana.example.com/logout"`},
		{"none", "none", `"clientSecret":"`},
		{"taken away", "-OAuth2Provider.clientSecret", `"clientSecret":"`},
		{"added", "User.email", `"email":null,"username":"alice"},"provider":{"clientSecret":null`},
		{"both names", "OAuth2Provider.backchannelLogoutUri", `"logoutUri":null,"backchannelLogoutUri":null`},
		{"a whole object", "AuthorizationCode.user", `"user":null`},
		{"expires", "AuthorizationCode.expires", `"isExpired":false,"expires":null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, a := newWorld(t, upstreamtest.Options{}, "REDACT="+tt.redact)
			for range 2 { // loaded, then cached
				if got := query(t, a.URL, upstreamtest.TokenAlice, document); !strings.Contains(string(got.Body), tt.want) {
					t.Errorf("got %s", got.Body)
				}
			}
		})
	}
}

func TestPathPrefix(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{PathPrefix: "/auth"})
	if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
		t.Errorf("got %s", got.Body)
	}
}

// startDraining starts a service that was told to stop while it awaits authentik for one request, whose
// answer comes once goOn is called.
func startDraining(t *testing.T) (a *instance, goOn func(), answered chan reply) {
	t.Helper()
	arrived, release := make(chan struct{}), make(chan struct{})
	up, a := newWorld(t, upstreamtest.Options{})
	goOn = sync.OnceFunc(func() { close(release) })
	t.Cleanup(goOn)
	up.SetFault(17, upstreamtest.Fault{Name: "held", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		close(arrived)
		<-release
		next.ServeHTTP(w, r)
	}})
	answered = make(chan reply, 1)
	go func() { answered <- query(t, a.URL, upstreamtest.TokenAlice, aliceCode) }()
	<-arrived
	a.stop()
	<-a.Log.Contains(`"msg":"draining"`)
	return a, goOn, answered
}

// TestGracefulStop: a request that runs when the signal comes is answered, and nothing is taken
// after it.
func TestGracefulStop(t *testing.T) {
	a, goOn, answered := startDraining(t)
	goOn()
	if got := <-answered; len(got.Errors) > 0 {
		t.Errorf("the running request: %s", got.Body)
	}
	if err := a.Stop(); err != nil {
		t.Errorf("run returned %v", err)
	}
	if resp, err := http.Get(a.URL + "/healthz"); err == nil { //nolint:noctx // must fail
		_ = resp.Body.Close()
		t.Error("the stopped service still answers")
	}
}

// TestLogHoldsNoSecrets runs a little of everything and searches the log for what was secret in it.
func TestLogHoldsNoSecrets(t *testing.T) {
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
	var log strings.Builder
	for _, fault := range upstreamtest.Faults() { // to services of their own: one breaker would open
		up.SetFault(18, fault)
		before := up.Retrieves(18)
		one := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "UPSTREAM_TIMEOUT=1s")
		_ = query(t, one.URL, upstreamtest.TokenBob, `{ authorizationCode(id: 18) { id } }`)
		if up.Retrieves(18) == before {
			t.Errorf("%s was not met", fault.Name)
		}
		if err := one.Stop(); err != nil {
			t.Error(err)
		}
		log.WriteString(one.Log.String())
	}
	up.ClearFaults()
	req := newRequest(t, http.MethodPost, a.URL+"/graphql?query=s3cr3t-in-url", strings.NewReader("s3cr3t-body"))
	req.Header.Set("X-Request-ID", "s3cr3t\" id")
	_ = send(t, req)
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	log.WriteString(a.Log.String() + a.Stdout.String())
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
		{"CA file without certificate", nil, []string{"AUTHENTIK_URL=" + up.URL, "AUTHENTIK_CA_FILE=go.mod"}, 2, nil, []string{"AUTHENTIK_CA_FILE holds no PEM certificate"}},
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

// TestSelfSignedAuthentik: authentik's default certificate is trusted only where AUTHENTIK_CA_FILE
// names it.
func TestSelfSignedAuthentik(t *testing.T) {
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

// TestHintsAreReported at the start, and by -check, and never with a value.
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

package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/app"
	"authentik-graphql/upstream/upstreamtest"
)

const bobsCode = `{ authorizationCode(id: "18") { id user { username } } }`

// serviceFiles are the two files of service mode and the settings that name them.
type serviceFiles struct{ Token, Callers string }

func newServiceFiles(t *testing.T, token, callers string) serviceFiles {
	t.Helper()
	dir := t.TempDir()
	return serviceFiles{writeFile(t, filepath.Join(dir, "token"), token), writeFile(t, filepath.Join(dir, "callers"), callers)}
}

func (f serviceFiles) settings(more ...string) []string {
	return append(more, "AUTHENTIK_TOKEN_FILE="+f.Token, "CALLERS_FILE="+f.Callers)
}

// linesWith returns the log lines that have a value under a key.
func (a *instance) linesWith(key string, value any) (lines []map[string]any) {
	for _, line := range a.Log.Lines() {
		if line[key] == value {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestServiceMode(t *testing.T) {
	files := newServiceFiles(t, upstreamtest.TokenRoot+"\n", callerOf("grafana", "grafana-t0k3n")+callerOf("ops", "ops-t0k3n", "write"))
	up, a := newWorld(t, upstreamtest.Options{}, files.settings()...)
	for _, token := range []string{"grafana-t0k3n", "ops-t0k3n"} { // may read what the service may: all codes
		for _, document := range []string{aliceCode, bobsCode} {
			if got := query(t, a.URL, token, document); len(got.Errors) > 0 {
				t.Errorf("%s: %s", token, got.Body)
			}
		}
	}
	if up.Retrieves(17) != 1 || up.Retrieves(18) != 1 {
		t.Errorf("%d and %d retrieves, want one of each: the callers share answers", up.Retrieves(17), up.Retrieves(18))
	}
	before := up.Calls().Total
	for _, token := range []string{"", "unknown-t0k3n", "grafana-t0k3n-", upstreamtest.TokenAlice, upstreamtest.TokenRoot, hashOf("grafana-t0k3n")} {
		got := query(t, a.URL, token, `{ authorizationCode(id: "19") { id } }`)
		if got.Codes() != "UNAUTHENTICATED" || got.Errors[0].Extensions.UpstreamStatus != 0 {
			t.Errorf("the token %q: %s", token, got.Body)
		}
	}
	if n := up.Calls().Total - before; n != 0 {
		t.Errorf("%d calls for callers who are not on the list", n)
	}

	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(a.linesWith("caller", "grafana")) != 2 || len(a.linesWith("caller", "ops")) != 2 {
		t.Errorf("the log does not name the callers:\n%s", a.Log)
	}
	for _, line := range a.linesWith("msg", "request") {
		if _, named := line["caller"]; named != (line["codes"] == nil) {
			t.Errorf("a caller who is not on the list has a name, or one who is has none: %v", line)
		}
	}
	for _, secret := range []string{"t0k3n", upstreamtest.TokenRoot, upstreamtest.TokenAlice, hashOf("grafana-t0k3n"), hashOf("ops-t0k3n")} {
		if strings.Contains(a.Log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(a.Log.String(), files.Token) || !strings.Contains(a.Log.String(), files.Callers) {
		t.Error("the log does not show the files' paths among the settings")
	}
}

// TestOwnTokensHaveNoNames: without service mode the log names no caller.
func TestOwnTokensHaveNoNames(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	query(t, a.URL, upstreamtest.TokenAlice, aliceCode)
	<-a.Log.Contains(`"msg":"request"`)
	if strings.Contains(a.Log.String(), `"caller"`) {
		t.Errorf("a caller is named:\n%s", a.Log)
	}
}

// TestServiceCallersShareLoads: simultaneous reads of two callers make one call.
func TestServiceCallersShareLoads(t *testing.T) {
	files := newServiceFiles(t, upstreamtest.TokenRoot, callerOf("a", "token-a")+callerOf("b", "token-b"))
	up, a := newWorld(t, upstreamtest.Options{}, files.settings()...)
	held, arrived, release := hold()
	up.SetFault(17, held)
	answers := make(chan reply, 2)
	ask := func(token string, sent func()) {
		req := newQuery(t, a.URL, token, aliceCode)
		trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }}
		answers <- send(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	}
	go ask("token-a", func() {})
	<-arrived
	go ask("token-b", release)
	for range 2 {
		if got := <-answers; len(got.Errors) > 0 {
			t.Errorf("%s", got.Body)
		}
	}
	if n := up.Retrieves(17); n != 1 {
		t.Errorf("%d retrieves, want 1", n)
	}
}

// TestServiceTokenRotation: a new token in the file replaces the old one, an invalid one does not.
func TestServiceTokenRotation(t *testing.T) {
	t.Parallel()
	files := newServiceFiles(t, upstreamtest.TokenAlice, callerOf("grafana", "t1"))
	up, a := newWorld(t, upstreamtest.Options{}, files.settings()...)
	if got := query(t, a.URL, "t1", bobsCode); got.Codes() != "NOT_FOUND" {
		t.Fatalf("with alice's token: %s", got.Body)
	}
	writeFile(t, files.Token, "two s3cr3t words")
	<-a.Log.Contains(`AUTHENTIK_TOKEN_FILE does not hold a token and nothing else`)
	if got := query(t, a.URL, "t1", aliceCode); len(got.Errors) > 0 {
		t.Errorf("the last good token is not used: %s", got.Body)
	}
	writeFile(t, files.Token, upstreamtest.TokenRoot+"\n")
	<-a.Log.Contains(`"msg":"file read again","setting":"AUTHENTIK_TOKEN_FILE"`)
	if got := query(t, a.URL, "t1", bobsCode); len(got.Errors) > 0 {
		t.Errorf("with the new token: %s", got.Body)
	}
	if up.Retrieves(18) != 2 {
		t.Errorf("%d retrieves of 18, want one with each token", up.Retrieves(18))
	}
	if strings.Contains(a.Log.String(), "s3cr3t") || strings.Contains(a.Log.String(), upstreamtest.TokenRoot) {
		t.Errorf("the log holds a token:\n%s", a.Log)
	}
}

// TestCallersChange moves a directory of files as Kubernetes does: by a symbolic link in the path.
func TestCallersChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish := func(version, callers string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		file := writeFile(t, filepath.Join(dir, version, "callers"), callers)
		old := time.Unix(1, 0) // changes are not found by modification time
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(version, filepath.Join(dir, "data.new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "data.new"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("1", callerOf("a", "token-a"))
	files := newServiceFiles(t, upstreamtest.TokenRoot, "")
	files.Callers = filepath.Join(dir, "data", "callers")
	_, a := newWorld(t, upstreamtest.Options{}, files.settings()...)
	if got := query(t, a.URL, "token-a", aliceCode); len(got.Errors) > 0 {
		t.Fatalf("%s", got.Body)
	}
	publish("2", callerOf("b", "token-b")) // of the same length
	cachetest.Eventually(t, "the new caller is let in", func() bool {
		return len(query(t, a.URL, "token-b", aliceCode).Errors) == 0
	})
	if got := query(t, a.URL, "token-a", aliceCode); got.Codes() != "UNAUTHENTICATED" {
		t.Errorf("the old caller: %s", got.Body)
	}
}

// TestServiceTokenRejected: a rejected token of the service is no error of the caller, even if another
// process has found that it is rejected.
func TestServiceTokenRejected(t *testing.T) {
	t.Parallel()
	rs := cachetest.StartRedis(t)
	files := newServiceFiles(t, "rejected-t0k3n", callerOf("grafana", "t1"))
	settings := files.settings("REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret)
	up, first := newWorld(t, upstreamtest.Options{}, settings...)
	second := startApp(t, nil, append(settings, "AUTHENTIK_URL="+up.URL)...)
	for _, a := range []*instance{first, second, first} {
		got := query(t, a.URL, "t1", aliceCode)
		if got.Codes() != "UPSTREAM_ERROR" || got.Errors[0].Message != "authentik rejects this service's own token." ||
			got.Errors[0].Extensions.UpstreamStatus != 403 {
			t.Errorf("got %s", got.Body)
		}
		<-a.Log.Contains(`"codes":["UPSTREAM_ERROR"]`)
		if lines := a.linesWith("upstream_status", 403.0); len(lines) == 0 || lines[0]["level"] != "WARN" || lines[0]["caller"] != "grafana" {
			t.Errorf("the log:\n%s", a.Log)
		}
	}
	if n := up.Retrieves(17); n != 1 {
		t.Errorf("%d retrieves, want 1", n)
	}
	if got := query(t, first.URL, "t2", aliceCode); got.Codes() != "UNAUTHENTICATED" {
		t.Errorf("a caller who is not on the list: %s", got.Body)
	}
	// Refusals and failures are the same as without service mode.
	up, fourth := newWorld(t, upstreamtest.Options{}, files.settings()...)
	up.SetFault(18, upstreamtest.Forbidden403)
	if got := query(t, fourth.URL, "t1", bobsCode); got.Codes() != "FORBIDDEN" {
		t.Errorf("%s", got.Body)
	}
}

// TestReadOnlyCallers: callers without the right to write are refused every mutation, before it is validated.
// Other callers get the validation's error.
func TestReadOnlyCallers(t *testing.T) {
	files := newServiceFiles(t, upstreamtest.TokenRoot, callerOf("reader", "reader")+callerOf("writer", "writer", "write"))
	up, a := newWorld(t, upstreamtest.Options{}, files.settings()...)
	_, own := newWorld(t, upstreamtest.Options{})
	const mutation, two = `mutation { revoke(id: 17) }`, `query q { __typename } mutation m { revoke }`
	tests := []struct {
		name              string
		app               *instance
		token, body, code string
	}{
		{"reader's", a, "reader", `{"query":"` + mutation + `"}`, "FORBIDDEN"},
		{"reader's of two", a, "reader", `{"query":"` + two + `","operationName":"m"}`, "FORBIDDEN"},
		{"reader's query of two", a, "reader", `{"query":"query q { __typename }","operationName":"q"}`, ""},
		{"reader's query", a, "reader", `{"query":"{ __typename }"}`, ""},
		{"writer's", a, "writer", `{"query":"` + mutation + `"}`, "GRAPHQL_VALIDATION_FAILED"},
		{"of an unknown caller", a, "unknown", `{"query":"` + mutation + `"}`, "GRAPHQL_VALIDATION_FAILED"},
		{"by one's own token", own, upstreamtest.TokenAlice, `{"query":"` + mutation + `"}`, "GRAPHQL_VALIDATION_FAILED"},
	}
	for _, tt := range tests {
		for accept, status := range map[string]int{"application/json": http.StatusOK, "application/graphql-response+json": http.StatusBadRequest} {
			t.Run(tt.name+" as "+accept, func(t *testing.T) {
				req := newRequest(t, http.MethodPost, tt.app.URL+"/graphql", strings.NewReader(tt.body))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer "+tt.token)
				req.Header.Set("Accept", accept)
				if tt.code == "" {
					status = http.StatusOK
				}
				got := send(t, req)
				if got.Codes() != tt.code || got.Status != status || (got.Data == nil) != (tt.code != "") {
					t.Errorf("%d %s", got.Status, got.Body)
				}
				if tt.code == "FORBIDDEN" && got.Errors[0].Message != "This caller may only read." {
					t.Errorf("%s", got.Body)
				}
			})
		}
	}
	if n := up.Calls().Total; n != 0 {
		t.Errorf("%d calls reached authentik", n)
	}
}

func TestServiceModeMistakes(t *testing.T) {
	good := newServiceFiles(t, "t0k3n", callerOf("a", "t1"))
	bad := newServiceFiles(t, "\n", callerOf("a", "t1")+"b s3cr3t\n"+callerOf("a", "t1"))
	empty := newServiceFiles(t, "s3cr3t s3cr3t", "# no caller\n")
	large := newServiceFiles(t, "t0k3n", strings.Repeat("#\n", 2<<20)+"#")
	tests := []struct {
		name     string
		settings []string
		want     []string
	}{
		{"token alone", []string{"AUTHENTIK_TOKEN_FILE=" + good.Token}, []string{"CALLERS_FILE is required with AUTHENTIK_TOKEN_FILE"}},
		{"callers alone", []string{"CALLERS_FILE=" + good.Callers}, []string{"AUTHENTIK_TOKEN_FILE is required with CALLERS_FILE"}},
		{"both bad", bad.settings("CACHE_TTL=x"), []string{"CACHE_TTL", "AUTHENTIK_TOKEN_FILE does not hold a token and nothing else", "CALLERS_FILE line 2 has no SHA-256 hash", "line 3 has the hash of line 1"}},
		{"empty list", empty.settings(), []string{"AUTHENTIK_TOKEN_FILE does not hold", "CALLERS_FILE names no caller"}},
		{"missing", serviceFiles{"testdata/none-1", "testdata/none-2"}.settings(), []string{"AUTHENTIK_TOKEN_FILE cannot be read", "CALLERS_FILE cannot be read", "none-2"}},
		{"directory", serviceFiles{good.Token, t.TempDir()}.settings(), []string{"CALLERS_FILE cannot be read: it is not a regular file"}},
		{"too large", large.settings(), []string{"CALLERS_FILE cannot be read: it is larger than 4 MiB"}},
	}
	for _, tt := range tests {
		for _, args := range [][]string{nil, {"-check"}, {"-demo"}} {
			t.Run(tt.name+strings.Join(args, ""), func(t *testing.T) {
				var stderr bytes.Buffer
				err := run(t.Context(), args, append(tt.settings, testURL), io.Discard, &stderr)
				if got := app.ExitCode(err, &stderr); got != 2 {
					t.Errorf("exit code %d, want 2", got)
				}
				for _, want := range tt.want {
					if !strings.Contains(stderr.String(), want) {
						t.Errorf("stderr lacks %q:\n%s", want, stderr.String())
					}
				}
				if strings.Contains(stderr.String(), "s3cr3t") || strings.Contains(stderr.String(), hashOf("t1")) {
					t.Errorf("the message repeats the file:\n%s", stderr.String())
				}
			})
		}
	}
}

func TestServiceModeCheck(t *testing.T) {
	t.Parallel()
	up := startFake(t, upstreamtest.Options{})
	one := callerOf("a", "t1")
	three := one + callerOf("b", "t2") + callerOf("b", "t3", "write")
	const unreachable = "http://127.0.0.1:1"
	tests := []struct {
		name, url string
		settings  []string
		good      bool
		want      string
	}{
		{"one", up.URL, newServiceFiles(t, upstreamtest.TokenRoot, one).settings(), true, "token      ok\ncallers    ok, 1 caller, 1 token\n"},
		{"three", up.URL, newServiceFiles(t, upstreamtest.TokenAlice, three).settings(), true, "token      ok\ncallers    ok, 2 callers, 3 tokens\n"},
		{"rejected", up.URL, newServiceFiles(t, "t0k3n", one).settings(), false, "token      FAILED  authentik rejects it\ncallers    ok, 1 caller, 1 token\n"},
		{"unreachable", unreachable, newServiceFiles(t, "t0k3n", one).settings(), false, "token      FAILED  upstream: "},
		{"off", up.URL, nil, true, "callers    not used: each sends a token of authentik\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout bytes.Buffer
			err := run(t.Context(), []string{"-check"}, append(tt.settings, "AUTHENTIK_URL="+tt.url), &stdout, io.Discard)
			if (err == nil) != tt.good || !strings.Contains(stdout.String(), "\n"+tt.want) || strings.Contains(stdout.String(), "t0k3n") {
				t.Errorf("%v\n%s", err, stdout.String())
			}
		})
	}
}

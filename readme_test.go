package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/callers"
	"authentik-graphql/internal/config"
	"authentik-graphql/internal/demo"
	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// TestSettingsTable checks that the tables of docs/settings.md follow the tags of config.Config. With -update it
// writes them.
func TestSettingsTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("<!-- settings -->\n")
	group := ""
	for _, s := range config.Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&table, "\n## %s\n\n| Setting | Default | Meaning |\n|---|---|---|\n", group)
		}
		value := "unset"
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.Name, value, s.Help)
	}
	table.WriteString("\n<!-- end of settings -->\n")
	page := must(t, "docs/settings.md")
	current := regexp.MustCompile(`(?s)<!-- settings -->\n.*?(<!-- end of settings -->\n|$)`)
	if *update {
		if !strings.Contains(page, "<!-- end of settings -->") {
			current = regexp.MustCompile(`<!-- settings -->\n`)
		}
		page = current.ReplaceAllLiteralString(page, table.String())
		if err := os.WriteFile("docs/settings.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if current.FindString(page) != table.String() {
		t.Errorf("docs/settings.md differs from the settings; want\n%s", table.String())
	}
}

// TestReadmeExample sends the README's example to the demo and compares the answer. It is also the
// line that the demo prints.
func TestReadmeExample(t *testing.T) {
	a := startApp(t, []string{"-demo"})
	readme := must(t, "README.md")
	command := regexp.MustCompile(`(?m)^curl -s .*$`).FindString(readme)
	if command == "" || demo.Curl("http://127.0.0.1:8080") != command {
		t.Errorf("the README's command is not the demo's:\n%s", command)
	}
	if !strings.Contains(a.Stdout.String(), demo.Curl(a.URL)) {
		t.Errorf("the demo does not print the command:\n%s", a.Stdout)
	}
	req := newRequest(t, http.MethodPost, a.URL+"/graphql", strings.NewReader(regexp.MustCompile(`-d '(.*)'`).FindStringSubmatch(command)[1]))
	for _, h := range regexp.MustCompile(`-H '([^:]*): ([^']*)'`).FindAllStringSubmatch(command, -1) {
		req.Header.Set(h[1], h[2])
	}
	got := send(t, req)
	var have, want map[string]any
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(readme)[1]
	fetched := regexp.MustCompile(`"fetchedAt": *"[^"]*"`)
	for text, into := range map[string]*map[string]any{example: &want, string(got.Body): &have} {
		if err := json.Unmarshal([]byte(fetched.ReplaceAllString(text, `"fetchedAt":""`)), into); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("the demo answers %s", got.Body)
	}
}

// TestReadmeLists sends the other documents of the README's first examples to the demo. Its answers
// are of the form that the README shows; ids, times and counts depend on when they were made.
func TestReadmeLists(t *testing.T) {
	demo := startDemo(t)
	section, _, _ := strings.Cut(strings.SplitN(must(t, "README.md"), "\n## A query and its answer\n", 2)[1], "\n## ")
	examples := regexp.MustCompile("(?s)```graphql\n(.*?)```.*?```json\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(examples) != 3 {
		t.Fatalf("%d examples, not 3", len(examples))
	}
	stated := regexp.MustCompile(`"endCursor": *("[^"]*")`).FindStringSubmatch(examples[0][2])[1]
	if !strings.Contains(examples[1][1], "after: "+stated) {
		t.Errorf("the second page does not follow %s", stated)
	}
	for _, example := range examples {
		got := query(t, demo, "demo-alice", example[1])
		if got, want := form(t, string(got.Body)), form(t, example[2]); got != want {
			t.Errorf("%s answers\n%s, not\n%s", example[1], got, want)
		}
	}
}

// form is JSON without what differs each time.
func form(t *testing.T, text string) string {
	t.Helper()
	text = regexp.MustCompile(`"(id|endCursor|expires|name)": *"[^"]*"|"(totalCount)": *\d+`).ReplaceAllString(text, `"$1$2": ""`)
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDocsRedis runs -check with each example of another form of Redis, with the addresses of real
// servers put in place of the README's.
func TestDocsRedis(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	user := []string{"--user", "app", "on", ">password", "~*", "&*", "+@all", "--user", "default", "off"}
	replace := map[string]func(*testing.T) []string{
		"TLS": func(t *testing.T) []string {
			s := cachetest.StartRedisTLS(t, "--requirepass", "password")
			return []string{"redis.example.com:6379", s.Addr(), "/etc/ssl/redis.pem", s.CAFile()}
		},
		"a Unix socket": func(t *testing.T) []string {
			return []string{"/run/redis/redis.sock", cachetest.StartRedisSocket(t).Addr()}
		},
		"an ACL user": func(t *testing.T) []string {
			return []string{"redis.example.com:6379", cachetest.StartRedis(t, user...).Addr()}
		},
		"Redis Cluster": func(t *testing.T) []string {
			nodes := cachetest.StartCluster(t, user...).Nodes()
			return []string{"redis-1.example.com:6379", nodes[0].Addr(), "redis-2.example.com:6379", nodes[1].Addr()}
		},
		"Redis under Sentinel": func(t *testing.T) []string {
			sentinels := cachetest.StartSentinel(t, user...).Sentinels()
			return []string{"sentinel-1.example.com:26379", sentinels[0].Addr(), "sentinel-2.example.com:26379", sentinels[1].Addr()}
		},
	}
	section := regexp.MustCompile("(?s)## Redis in other forms\n\n```sh\n(.*?)```").FindStringSubmatch(must(t, "docs/settings.md"))[1]
	for example := range strings.SplitSeq(section, "\n\n") {
		title := regexp.MustCompile(`^# (TLS|a Unix socket|an ACL user|Redis Cluster|Redis under Sentinel)`).FindStringSubmatch(example)[1]
		start := replace[title]
		delete(replace, title)
		t.Run(title, func(t *testing.T) {
			environ := []string{"AUTHENTIK_URL=" + up.URL, "CACHE_SECRET=" + testSecret}
			servers := strings.NewReplacer(start(t)...)
			for _, v := range regexp.MustCompile(`(?m)^export (\w+)='?(.*?)'?$`).FindAllStringSubmatch(example, -1) {
				environ = append(environ, v[1]+"="+servers.Replace(v[2]))
			}
			var stdout bytes.Buffer
			err := run(t.Context(), []string{"-check"}, environ, &stdout, io.Discard)
			if err != nil || !strings.Contains(stdout.String(), "redis      ok") || strings.Contains(stdout.String(), "example.com") {
				t.Errorf("%v\n%s", err, stdout.String())
			}
		})
	}
	if len(replace) > 0 {
		t.Errorf("docs/settings.md has no example of %v", slices.Collect(maps.Keys(replace)))
	}
}

// TestDocsCallers: the example of CALLERS_FILE is one.
func TestDocsCallers(t *testing.T) {
	example := regexp.MustCompile("(?s)```\n(# name, hash.*?)```").FindStringSubmatch(must(t, "docs/security.md"))[1]
	files := newServiceFiles(t, "t0k3n", example)
	listed, err := callers.Open(files.Token, files.Callers)
	if err != nil {
		t.Fatal(err)
	}
	if names, tokens := listed.Count(); names != 2 || tokens != 2 {
		t.Errorf("%d callers with %d tokens", names, tokens)
	}
	if rights := regexp.MustCompile(`(?m)^[^#].*?( write)?$`).FindAllStringSubmatch(example, -1); len(rights) != 2 || rights[0][1] != "" || rights[1][1] == "" {
		t.Errorf("want one caller who may only read and one who may write: %q", rights)
	}
}

// TestDocsServiceMode: the recipe makes two files that work, and shows the caller's token.
func TestDocsServiceMode(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	recipe := regexp.MustCompile("(?s)```sh\n(TOKEN=.*?)\\./authentik-graphql -check\n```").FindStringSubmatch(must(t, "docs/security.md"))[1]
	recipe = strings.Replace(recipe, "openssl rand -hex 32", "echo "+hashOf("random"), 1)
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", recipe+`echo "$AUTHENTIK_TOKEN_FILE"; echo "$CALLERS_FILE"`)
	cmd.Dir = t.TempDir()
	writeFile(t, filepath.Join(cmd.Dir, "token"), upstreamtest.TokenRoot)
	out, err := cmd.Output()
	lines := strings.Split(string(out), "\n")
	if err != nil || len(lines) != 4 {
		t.Fatalf("%v\n%s", err, out)
	}
	files := serviceFiles{Token: lines[1], Callers: lines[2]}
	var stdout bytes.Buffer
	err = run(t.Context(), []string{"-check"}, files.settings("AUTHENTIK_URL="+up.URL), &stdout, io.Discard)
	if err != nil || !strings.Contains(stdout.String(), "token      ok\ncallers    ok, 1 caller, 1 token\n") {
		t.Errorf("%v\n%s", err, stdout.String())
	}
	listed, err := callers.Open(files.Token, files.Callers)
	if err != nil {
		t.Fatal(err)
	}
	if listed.Identify(upstream.NewCredential(lines[0])).Name == "" {
		t.Errorf("%q is not the token of the caller who is listed", lines[0])
	}
	bad := newServiceFiles(t, "t0k3n", "grafana "+lines[0])
	if _, err := callers.Open(bad.Token, bad.Callers); err == nil {
		t.Error("a token instead of its hash is no mistake")
	}
}

// TestDocsTrusted: the trusted documents of the docs are some, and its request asks for one.
func TestDocsTrusted(t *testing.T) {
	section := strings.Split(must(t, "docs/clients.md"), "## Persisted queries and trusted documents\n")[1]
	documents := writeFile(t, filepath.Join(t.TempDir(), "documents.json"), regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section)[1])
	a := startApp(t, []string{"-demo"}, "TRUSTED_DOCUMENTS="+documents, "TRUSTED_DOCUMENTS_ONLY=true")
	req := newQuery(t, a.URL, "demo-alice", "")
	body := regexp.MustCompile(`-d '(.*)'`).FindStringSubmatch(section)[1]
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	if got := send(t, req); len(got.Errors) > 0 || !strings.Contains(string(got.Data), `"username":"alice"`) {
		t.Errorf("%s answers %s", body, got.Body)
	}
}

// TestErrorsPage: docs/errors.md names every code that an answer can have.
func TestErrorsPage(t *testing.T) {
	page := must(t, "docs/errors.md")
	codes := regexp.MustCompile(`= "([A-Z_]+)"`).FindAllStringSubmatch(must(t, "internal/apierror/apierror.go"), -1)
	if len(codes) < 15 {
		t.Fatalf("only %d codes found", len(codes))
	}
	for _, code := range codes {
		if !strings.Contains(page, "`"+code[1]+"`") {
			t.Errorf("docs/errors.md does not name %s", code[1])
		}
	}
}

// TestDemoBanner: what the demo announces is so.
func TestDemoBanner(t *testing.T) {
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

// TestDemoErrors asks for each fixed id of the demo, but the one that takes as long as
// UPSTREAM_TIMEOUT, which is shortened.
func TestDemoErrors(t *testing.T) {
	a := startApp(t, []string{"-demo"}, "UPSTREAM_TIMEOUT=1s")
	for _, e := range demo.Errors() {
		if e.Label == "" {
			t.Errorf("%s has no label", e.ID)
		}
		got := query(t, a.URL, "demo-bob", `{ authorizationCode(id: "`+e.ID+`") { id } }`)
		if got.Codes() != e.Label {
			t.Errorf("%s answers %s, announced is %s", e.ID, got.Codes(), e.Label)
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// TestReadmeSettings: the README's table is made of the tags of Config. With -update it is
// written.
func TestReadmeSettings(t *testing.T) {
	var table strings.Builder
	table.WriteString("<!-- settings -->\n| Setting | Default | Meaning |\n|---|---|---|\n")
	for _, s := range settings() {
		value := "unset"
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.Name, value, s.Help)
	}
	table.WriteString("<!-- end of settings -->\n")
	readme := must(t, "README.md")
	current := regexp.MustCompile(`(?s)<!-- settings -->\n.*?(<!-- end of settings -->\n|$)`)
	if *update {
		if !strings.Contains(readme, "<!-- end of settings -->") {
			current = regexp.MustCompile(`<!-- settings -->\n`)
		}
		readme = current.ReplaceAllLiteralString(readme, table.String())
		if err := os.WriteFile("README.md", []byte(readme), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if current.FindString(readme) != table.String() {
		t.Errorf("the README's settings are not the code's; want\n%s", table.String())
	}
}

// TestReadmeExample sends the README's example to the demo and compares the answer. It is also the
// line that the demo prints.
func TestReadmeExample(t *testing.T) {
	demo := startApp(t, []string{"-demo"})
	readme := must(t, "README.md")
	command := regexp.MustCompile(`(?m)^curl -s .*$`).FindString(readme)
	if command == "" || demoCurl("http://127.0.0.1:8080") != command {
		t.Errorf("the README's command is not the demo's:\n%s", command)
	}
	if !strings.Contains(demo.Stdout.String(), demoCurl(demo.URL)) {
		t.Errorf("the demo does not print the command:\n%s", demo.Stdout)
	}
	req := newRequest(t, http.MethodPost, demo.URL+"/graphql", strings.NewReader(regexp.MustCompile(`-d '(.*)'`).FindStringSubmatch(command)[1]))
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

// TestReadmeRedis runs -check with each example of another form of Redis, with the addresses of real
// servers put in place of the README's.
func TestReadmeRedis(t *testing.T) {
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
	section := regexp.MustCompile("(?s)### Redis in other forms\n\n```sh\n(.*?)```").FindStringSubmatch(must(t, "README.md"))[1]
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
		t.Errorf("the README has no example of %v", slices.Collect(maps.Keys(replace)))
	}
}

// TestReadmeCallers: the README's example of CALLERS_FILE is one.
func TestReadmeCallers(t *testing.T) {
	example := regexp.MustCompile("(?s)```\n(# name, hash.*?)```").FindStringSubmatch(must(t, "README.md"))[1]
	list, err := parseCallers([]byte(example))
	if err != nil || list.names() != 2 || list[0].write || !list[1].write {
		t.Errorf("%v, %v", list, err)
	}
}

// TestReadmeErrors: the README names every code that an answer can have.
func TestReadmeErrors(t *testing.T) {
	readme := must(t, "README.md")
	codes := regexp.MustCompile(`= "([A-Z_]+)"`).FindAllStringSubmatch(must(t, "graph/errors.go"), -1)
	if len(codes) < 15 {
		t.Fatalf("only %d codes found", len(codes))
	}
	for _, code := range codes {
		if !strings.Contains(readme, "`"+code[1]+"`") {
			t.Errorf("the README does not name %s", code[1])
		}
	}
}

// TestDemoErrors asks for each fixed id of the demo, but the one that takes as long as
// UPSTREAM_TIMEOUT, which is shortened.
func TestDemoErrors(t *testing.T) {
	demo := startApp(t, []string{"-demo"}, "UPSTREAM_TIMEOUT=1s")
	for _, e := range demoErrors() {
		if e.Label == "" {
			t.Errorf("%s has no label", e.ID)
		}
		got := query(t, demo.URL, "demo-bob", `{ authorizationCode(id: "`+e.ID+`") { id } }`)
		if got.Codes() != e.Label {
			t.Errorf("%s answers %s, announced is %s", e.ID, got.Codes(), e.Label)
		}
	}
}

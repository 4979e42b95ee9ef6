package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
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

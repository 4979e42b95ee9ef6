package federation

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

type subgraph struct {
	Name string `json:"name"`
	SDL  string `json:"sdl"`
}

// composition is a set of subgraphs and the expected result of composing them.
type composition struct {
	name      string
	subgraphs []subgraph
	fields    []string // of the supergraph
	errors    []string // the code of each
	hints     []string
}

// testComposition composes the service's schema alone and with neighbours.
func testComposition(t *testing.T, sdl string) {
	own := subgraph{"authentik", sdl}
	adds := subgraph{"inventory", read(t, examples+"inventory/schema.graphql")}
	connects := subgraph{"devices", read(t, "testdata/devices.graphql")}
	ours, added, connected := "authorizationCodes(", "department: String", ": DeviceConnection"

	var cases []composition
	for _, version := range []string{"v2.3", "v2.4", "v2.5", "v2.6", "v2.7"} {
		for _, c := range []composition{
			{name: "alone", subgraphs: []subgraph{own}, fields: []string{ours}},
			{name: "with added fields", subgraphs: []subgraph{own, adds}, fields: []string{ours, added}},
			{name: "with connections", subgraphs: []subgraph{own, connects}, fields: []string{ours, connected}},
			{name: "with both", subgraphs: []subgraph{own, adds, connects}, fields: []string{ours, added, connected}},
		} {
			c.name = version + " " + c.name
			c.subgraphs = replaced(t, c.subgraphs, `federation/v2\.\d+`, "federation/"+version)
			cases = append(cases, c)
		}
	}
	// A scalar may be specified elsewhere, or not at all: the first subgraph's specification counts.
	const inconsistent = "INCONSISTENT_NON_REPEATABLE_DIRECTIVE_ARGUMENTS"
	specified := `@specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc3339")`
	cases = append(cases,
		composition{name: "scalars specified elsewhere", fields: []string{ours, connected, specified}, hints: []string{inconsistent, inconsistent, inconsistent},
			subgraphs: append([]subgraph{own}, replaced(t, []subgraph{connects}, `https://www\.rfc-editor\.org`, "https://scalars.example.com")...)},
		composition{name: "scalars not specified", fields: []string{ours, connected, specified},
			subgraphs: append([]subgraph{own}, replaced(t, []subgraph{connects}, `@specifiedBy\(.*\)`, "")...)},
		// What must not compose, or the cases above would prove nothing.
		composition{name: "a field that the service has", errors: []string{"INVALID_FIELD_SHARING"},
			subgraphs: append([]subgraph{own}, replaced(t, []subgraph{adds}, `department: String`, "email: String")...)},
		composition{name: "a PageInfo that is not shared", errors: []string{"INVALID_FIELD_SHARING", "INVALID_FIELD_SHARING", "INVALID_FIELD_SHARING", "INVALID_FIELD_SHARING"},
			subgraphs: append([]subgraph{own}, replaced(t, []subgraph{connects}, `PageInfo @shareable`, "PageInfo")...)},
		composition{name: "a user known only to the neighbour", errors: []string{"SATISFIABILITY_ERROR"},
			subgraphs: append([]subgraph{own}, replaced(t, []subgraph{adds}, `type Query \{`, "type Query { me: User")...)},
	)
	for i, got := range compose(t, cases) {
		want := cases[i]
		t.Run(want.name, func(t *testing.T) {
			if fmt.Sprint(codes(got.Errors)) != fmt.Sprint(want.errors) {
				t.Errorf("errors %q, want %q", got.Errors, want.errors)
			}
			if fmt.Sprint(codes(got.Hints)) != fmt.Sprint(want.hints) {
				t.Errorf("hints %q, want %q", got.Hints, want.hints)
			}
			for _, field := range want.fields {
				wants(t, got.Supergraph, field)
			}
		})
	}
}

type composed struct {
	Errors, Hints []string
	Supergraph    string
}

func compose(t *testing.T, cases []composition) (results []composed) {
	t.Helper()
	all := make([][]subgraph, len(cases))
	for i, c := range cases {
		all[i] = c.subgraphs
	}
	stdin, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, ".", string(stdin), os.Environ(), "node", "composition.mjs")
	if err := json.Unmarshal([]byte(out), &results); err != nil || len(results) != len(cases) {
		t.Fatalf("%d results of %d: %v", len(results), len(cases), err)
	}
	return results
}

// replaced changes every subgraph's schema. It fails the test if there is nothing to change.
func replaced(t *testing.T, subgraphs []subgraph, pattern, by string) (list []subgraph) {
	t.Helper()
	for _, s := range subgraphs {
		changed := regexp.MustCompile(pattern).ReplaceAllString(s.SDL, by)
		if changed == s.SDL && !strings.Contains(s.SDL, by) {
			t.Fatalf("%s has no %s", s.Name, pattern)
		}
		list = append(list, subgraph{s.Name, changed})
	}
	return list
}

// codes returns the codes of messages. Successive errors of satisfiability have one.
func codes(messages []string) (list []string) {
	for _, m := range messages {
		code, _, _ := strings.Cut(m, ":")
		if code == "SATISFIABILITY_ERROR" && len(list) > 0 && list[len(list)-1] == code {
			continue
		}
		list = append(list, code)
	}
	return list
}

func wants(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("no %q in a schema of %d bytes", part, len(text))
	}
}

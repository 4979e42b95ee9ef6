package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

const operations = "docs/operations.md"

// section returns the part of docs/operations.md below a heading, up to the next heading of its level.
func section(t *testing.T, heading string) string {
	t.Helper()
	level, _, _ := strings.Cut(heading, " ")
	_, after, found := strings.Cut(must(t, operations), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no %q", operations, heading)
	}
	part, _, _ := strings.Cut(after, "\n"+level+" ")
	return part
}

// TestOperationsAnchors: each link within the page has its heading.
func TestOperationsAnchors(t *testing.T) {
	text := must(t, operations)
	var anchors []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchors = append(anchors, strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-"))
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(anchors, link[1]) {
			t.Errorf("there is no #%s", link[1])
		}
	}
}

// TestOperationsLog: the table has each field of a request's log line.
func TestOperationsLog(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	a := startApp(t, nil, newServiceFiles(t, upstreamtest.TokenRoot, callerOf("a", "t1")).settings("AUTHENTIK_URL="+up.URL)...)
	up.SetFault(17, upstreamtest.Error500)
	query(t, a.URL, "t1", `query named { authorizationCode(id: 17) { id } }`)
	query(t, a.URL, "t1", `{ authorizationCodes { totalCount } }`)
	<-a.Log.Contains(`"cache":`)
	table, fields := section(t, "## Log lines"), map[string]bool{}
	for _, line := range a.Log.Lines() {
		for field := range line {
			if line["msg"] == "request" {
				fields[field] = true
			}
		}
	}
	if len(fields) < 15 {
		t.Errorf("only %v were logged", slices.Sorted(maps.Keys(fields)))
	}
	for field := range fields {
		if !strings.Contains(table, "`"+field+"`") {
			t.Errorf("the table does not have %s", field)
		}
	}
}

// TestOperationsProbe: the example of a probe has the fields of a real one.
func TestOperationsProbe(t *testing.T) {
	rs := cachetest.StartRedis(t)
	up, a := newWorld(t, upstreamtest.Options{}, "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret)
	up.SetFault(18, upstreamtest.Error500)
	query(t, a.URL, upstreamtest.TokenAlice, `{ a: authorizationCode(id: 17) { id } b: authorizationCode(id: 18) { id } }`)
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section(t, "## Probes"))[1]
	fields := regexp.MustCompile(`"(\w+)":`)
	if got, want := fields.FindAllString(string(fetch(t, a.Admin+"/readyz").Body), -1), fields.FindAllString(example, -1); !slices.Equal(got, want) {
		t.Errorf("it tells %q, the example %q", got, want)
	}
}

package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"authentik-graphql/internal/demo"
	"authentik-graphql/upstream/upstreamtest"
)

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

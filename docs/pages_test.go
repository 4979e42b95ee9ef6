package docs

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"authentik-graphql/internal/callers"
	"authentik-graphql/internal/releases"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// write writes a file of its own folder and returns its path.
func write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// openCallers opens a list of callers with a token of the service's own.
func openCallers(t *testing.T, list string) (*callers.Callers, error) {
	t.Helper()
	return callers.Open(write(t, "token", "t0k3n"), write(t, "callers", list))
}

// TestSecurityCallers: the example of CALLERS_FILE lists one caller who may only read and one who may write.
func TestSecurityCallers(t *testing.T) {
	example := regexp.MustCompile("(?s)```\n(# name, hash.*?)```").FindStringSubmatch(servicetest.File(t, "docs/security.md"))[1]
	listed, err := openCallers(t, example)
	if err != nil {
		t.Fatal(err)
	}
	if names, tokens := listed.Count(); names != 2 || tokens != 2 {
		t.Errorf("%d callers with %d tokens", names, tokens)
	}
	if rights := regexp.MustCompile(`(?m)^[^#].*?( write)?$`).FindAllStringSubmatch(example, -1); len(rights) != 2 || rights[0][1] != "" || rights[1][1] == "" {
		t.Errorf("the callers are %q", rights)
	}
}

// TestSecurityServiceMode: the recipe writes two files that the service accepts, and prints the caller's token.
func TestSecurityServiceMode(t *testing.T) {
	up := servicetest.StartAuthentik(t, upstreamtest.Options{})
	recipe := regexp.MustCompile("(?s)```sh\n(TOKEN=.*?)\\./authentik-graphql -check\n```").FindStringSubmatch(servicetest.File(t, "docs/security.md"))[1]
	recipe = strings.Replace(recipe, "openssl rand -hex 32", "echo "+strings.Repeat("0123456789abcdef", 4), 1)
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", recipe+`echo "$AUTHENTIK_TOKEN_FILE"; echo "$CALLERS_FILE"`)
	cmd.Dir = filepath.Dir(write(t, "token", upstreamtest.TokenRoot))
	out, err := cmd.Output()
	lines := strings.Split(string(out), "\n")
	if err != nil || len(lines) != 4 {
		t.Fatalf("%v\n%s", err, out)
	}
	token, tokenFile, callersFile := lines[0], lines[1], lines[2]
	got, err := servicetest.Check(t, servicetest.Build(t), "AUTHENTIK_URL="+up.URL, "AUTHENTIK_TOKEN_FILE="+tokenFile, "CALLERS_FILE="+callersFile)
	if err != nil || !strings.Contains(got, "token      ok\ncallers    ok, 1 caller, 1 token\n") {
		t.Errorf("%v\n%s", err, got)
	}
	listed, err := callers.Open(tokenFile, callersFile)
	if err != nil {
		t.Fatal(err)
	}
	if listed.Identify(upstream.NewCredential(token)).Name == "" {
		t.Errorf("%q is not the listed caller's token", token)
	}
	if _, err := openCallers(t, "grafana "+token); err == nil {
		t.Error("a token in place of its hash is accepted")
	}
}

// TestClientsTrustedDocuments: the service accepts the page's trusted documents, and answers its request.
func TestClientsTrustedDocuments(t *testing.T) {
	section := strings.Split(servicetest.File(t, "docs/clients.md"), "## Persisted queries and trusted documents\n")[1]
	documents := write(t, "documents.json", regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section)[1])
	service := servicetest.Start(t, servicetest.Build(t), []string{"-demo"}, "TRUSTED_DOCUMENTS="+documents, "TRUSTED_DOCUMENTS_ONLY=true")
	body := regexp.MustCompile(`-d '(.*)'`).FindStringSubmatch(section)[1]
	req := servicetest.NewRequest(t, http.MethodPost, service.URL+"/graphql", strings.NewReader(body))
	req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer demo-alice"}}
	if got := servicetest.Send(t, req); len(got.Errors) > 0 || !strings.Contains(string(got.Data), `"username":"alice"`) {
		t.Errorf("%s answers %s", body, got.Body)
	}
}

// TestErrorsPage: errors.md names every code.
func TestErrorsPage(t *testing.T) {
	page := servicetest.File(t, "docs/errors.md")
	codes := regexp.MustCompile(`= "([A-Z_]+)"`).FindAllStringSubmatch(servicetest.File(t, "internal/apierror/apierror.go"), -1)
	if len(codes) < 15 {
		t.Fatalf("only %d codes found", len(codes))
	}
	for _, code := range codes {
		if !strings.Contains(page, "`"+code[1]+"`") {
			t.Errorf("errors.md does not name %s", code[1])
		}
	}
}

// TestPagesRelease: the pages that name the releases of authentik which are supported name those that are tested.
func TestPagesRelease(t *testing.T) {
	for _, page := range []string{"README.md", "CHANGELOG.md", "docs/releases.md"} {
		if want := releases.Oldest + " to " + releases.Newest; !strings.Contains(servicetest.File(t, page), want) {
			t.Errorf("%s does not say %s", page, want)
		}
	}
}

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/servicetest"
)

const unitFile = "systemd/authentik-graphql.service"

// directives are a unit's, by name; what systemd does not know is found by TestSystemdVerify.
func directives(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for line := range strings.Lines(read(t, unitFile)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			found[name] = append(found[name], value)
		}
	}
	return found
}

// analyze runs systemd-analyze, which needs no systemd that runs.
func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), servicetest.Program(t, "systemd-analyze"), args...).CombinedOutput()
	return string(out), err
}

// TestSystemdVerify: systemd has nothing to say about the unit, once its program is there. A name that
// it does not know is only a warning.
func TestSystemdVerify(t *testing.T) {
	unit := strings.Replace(read(t, unitFile), "=/usr/local/bin/authentik-graphql\n", "="+servicetest.Build(t)+"\n", 1)
	file := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := analyze(t, "verify", file); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSystemdSecurity: the unit is exposed no more than the README says.
func TestSystemdSecurity(t *testing.T) {
	stated := regexp.MustCompile(`exposure of (\d)\.(\d)\b`).FindStringSubmatch(read(t, "README.md"))
	if stated == nil {
		t.Fatal("the README states no exposure")
	}
	out, err := analyze(t, "security", "--offline=true", "--no-pager", "--threshold="+stated[1]+stated[2], unitFile)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSystemdSettings: the binary takes the environment of the unit, with the README's file.
func TestSystemdSettings(t *testing.T) {
	unit, readme := directives(t), read(t, "README.md")
	var files []string
	for _, credential := range unit["LoadCredential"] {
		name, source, _ := strings.Cut(credential, ":")
		files = append(files, "%d/"+name)
		if !strings.Contains(readme, source) {
			t.Errorf("the README does not make %s", source)
		}
	}
	environ := map[string]string{}
	for setting := range strings.FieldsSeq(unit["Environment"][0]) {
		name, value, _ := strings.Cut(setting, "=")
		environ[name] = value
	}
	if file := unit["EnvironmentFile"][0]; !strings.Contains(readme, file) {
		t.Errorf("the README does not make %s", file)
	}
	environ["AUTHENTIK_URL"] = regexp.MustCompile(`echo AUTHENTIK_URL=(\S+) >`).FindStringSubmatch(readme)[1]
	binary := servicetest.Build(t)
	accepts(t, binary, environ, files...)

	settings := servicetest.Settings(t, binary)
	mebibytes := number(t, strings.TrimSuffix(unit["MemoryMax"][0], "M"))
	if want := mostMemory(t, settings); mebibytes<<20 < want {
		t.Errorf("it may have %d MiB, and takes up to %d bytes", mebibytes, want)
	}
	if wait := time.Duration(number(t, unit["TimeoutStopSec"][0])) * time.Second; wait <= drain(t, settings) {
		t.Errorf("it is killed after %s, and may take %s to end", wait, drain(t, settings))
	}
}

package servicetest

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var helpLine = regexp.MustCompile(`(?m)^  ([A-Z_]+)(\[_FILE\])? \(default: (.*)\)$`)

// Settings are the names of the binary's settings with their defaults, which is empty where there is
// none. A secret has a NAME_FILE beside its NAME.
func Settings(t testing.TB, binary string) map[string]string {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), binary, "-help").Output()
	if err != nil {
		t.Fatalf("%s -help: %v", binary, err)
	}
	settings := map[string]string{}
	for _, m := range helpLine.FindAllStringSubmatch(string(help), -1) {
		name, file, value := m[1], m[2] != "", m[3]
		if value == "unset" {
			value = ""
		}
		settings[name] = value
		if file {
			settings[name+"_FILE"] = ""
		}
	}
	if len(settings) == 0 {
		t.Fatalf("no settings in\n%s", help)
	}
	return settings
}

// Accepts fails the test if the binary does not know one of the settings, each NAME=value, by its name,
// or cannot be started with all of them. Nothing that they name needs to be reachable.
func Accepts(t testing.TB, binary string, environ ...string) {
	t.Helper()
	known := Settings(t, binary)
	for _, setting := range environ {
		name, _, _ := strings.Cut(setting, "=")
		if _, ok := known[name]; !ok {
			t.Errorf("%s is no setting", name)
		}
	}
	cmd := exec.CommandContext(t.Context(), binary, "-check")
	cmd.Env = append([]string{"UPSTREAM_TIMEOUT=1ms"}, environ...)
	if out, _ := cmd.CombinedOutput(); !strings.HasPrefix(string(out), "settings   ok\n") {
		t.Errorf("the settings are refused:\n%s", out)
	}
}

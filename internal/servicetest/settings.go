package servicetest

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var helpLine = regexp.MustCompile(`(?m)^  ([A-Z_]+)(\[_FILE\])? \(default: (.*)\)$`)

// Settings returns the binary's settings by name with their defaults, or "". A secret has a NAME_FILE beside
// its NAME.
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

// Accepts fails the test unless the binary knows each of the settings, NAME=value, and starts with all of
// them. Servers that they name need not be reachable.
func Accepts(t testing.TB, binary string, environ ...string) {
	t.Helper()
	known := Settings(t, binary)
	for _, setting := range environ {
		name, _, _ := strings.Cut(setting, "=")
		if _, ok := known[name]; !ok {
			t.Errorf("%s is no setting", name)
		}
	}
	if out, _ := Check(t, binary, append([]string{"UPSTREAM_TIMEOUT=1ms"}, environ...)...); !strings.HasPrefix(out, "settings   ok\n") {
		t.Errorf("the settings are refused:\n%s", out)
	}
}

// Check runs the binary's -check with nothing but settings in its environment.
func Check(t testing.TB, binary string, settings ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "-check")
	cmd.Env = settings
	out, err := cmd.CombinedOutput()
	return string(out), err
}

package deploy

import (
	"bufio"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

const unitFile = "systemd/authentik-graphql.service"

// units returns the unit unchanged, and with the README's addition for service mode.
func units(t *testing.T) map[string]string {
	t.Helper()
	added := regexp.MustCompile("(?s)```ini\n(.*?)```").FindStringSubmatch(read(t, "README.md"))
	if added == nil {
		t.Fatal("the README adds nothing")
	}
	unit := read(t, unitFile)
	return map[string]string{"as it is": unit, "edited": unit + added[1]}
}

// directives returns a unit's directives by name. TestSystemdVerify finds unknown ones.
func directives(unit string) map[string][]string {
	found := map[string][]string{}
	for line := range strings.Lines(unit) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			found[name] = append(found[name], value)
		}
	}
	return found
}

// analyze runs systemd-analyze, which does not need a running systemd.
func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), servicetest.Program(t, "systemd-analyze"), args...).CombinedOutput()
	return string(out), err
}

// TestSystemdVerify: systemd accepts the unit without a warning, such as one for an unknown directive.
func TestSystemdVerify(t *testing.T) {
	binary := servicetest.Build(t)
	for name, unit := range units(t) {
		unit = strings.Replace(unit, "=/usr/local/bin/authentik-graphql\n", "="+binary+"\n", 1)
		file := filepath.Join(t.TempDir(), filepath.Base(unitFile))
		if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := analyze(t, "verify", file); err != nil || out != "" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestSystemdSecurity: the unit's exposure is at most what the README says.
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

// TestSystemdSettings: the binary accepts the environment of the unit and of the README's file.
func TestSystemdSettings(t *testing.T) {
	binary, readme := servicetest.Build(t), read(t, "README.md")
	for name, text := range units(t) {
		t.Run(name, func(t *testing.T) {
			unit := directives(text)
			var files []string
			for _, credential := range unit["LoadCredential"] {
				name, _, _ := strings.Cut(credential, ":")
				files = append(files, "%d/"+name)
			}
			environ := map[string]string{}
			for setting := range strings.FieldsSeq(strings.Join(unit["Environment"], " ")) {
				name, value, _ := strings.Cut(setting, "=")
				environ[name] = value
			}
			environ["AUTHENTIK_URL"] = regexp.MustCompile(`echo AUTHENTIK_URL=(\S+) >`).FindStringSubmatch(readme)[1]
			accepts(t, binary, environ, files...)
		})
	}
	unit, settings := directives(read(t, unitFile)), servicetest.Settings(t, binary)
	mebibytes := number(t, strings.TrimSuffix(unit["MemoryMax"][0], "M"))
	if want := mostMemory(t, settings); mebibytes<<20 < want {
		t.Errorf("it may have %d MiB, and takes up to %d bytes", mebibytes, want)
	}
	if wait := time.Duration(number(t, unit["TimeoutStopSec"][0])) * time.Second; wait <= drain(t, settings) {
		t.Errorf("it is killed after %s, and may take %s to end", wait, drain(t, settings))
	}
}

// TestSystemdCommands runs the README's commands below a folder, with a systemd that does nothing. They make
// each file that the unit names, -check succeeds, and an upgrade and its rollback leave nothing behind.
func TestSystemdCommands(t *testing.T) {
	authentik := httptest.NewServer(upstreamtest.New(upstreamtest.Options{}))
	t.Cleanup(authentik.Close)
	root := t.TempDir()
	socket := startRedis(t)
	_, section, _ := strings.Cut(read(t, "README.md"), "\n## systemd\n")
	script := "set -eu\nsystemctl() { :; }\njournalctl() { :; }\ncurl() { :; }\n"
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		script += block[1]
	}
	script = strings.NewReplacer(
		"../dist/authentik-graphql-linux-amd64", servicetest.Build(t),
		"/etc/", root+"/etc/", "/usr/", root+"/usr/",
		"https://auth.example.com", authentik.URL, "redis://127.0.0.1:6379/0", "unix://"+socket,
	).Replace(script)
	for _, dir := range []string{"etc/systemd/system", "usr/local/bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = []string{"PATH=" + filepath.Join(root, "usr/local/bin") + ":" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nauthentik  ok") || !strings.Contains(string(out), "\nredis      ok") {
		t.Errorf("%v\n%s", err, out)
	}
	unit := directives(read(t, filepath.Join(root, "etc/systemd/system", filepath.Base(unitFile))))
	named := slices.Concat(unit["ExecStart"], unit["EnvironmentFile"])
	for _, credential := range unit["LoadCredential"] {
		_, source, _ := strings.Cut(credential, ":")
		named = append(named, source)
	}
	for _, file := range named {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Errorf("nothing makes %s", file)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(root, "usr/local/bin/*")); len(left) != 1 {
		t.Errorf("there are %q", left)
	}
}

// startRedis starts a Redis on a socket and returns its path.
func startRedis(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "redis.sock")
	cmd := exec.CommandContext(t.Context(), servicetest.Program(t, "redis-server"), "--port", "0", "--unixsocket", socket, "--save", "")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it is killed with the test's context
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if strings.Contains(scan.Text(), "eady to accept connections at "+socket) {
			return socket
		}
	}
	t.Fatal("redis-server ended")
	return ""
}

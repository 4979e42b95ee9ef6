package deploy

import (
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

const (
	maxImage  = 40 << 20
	imageName = "localhost/authentik-graphql"
)

// buildah runs buildah with a temporary storage.
type buildah struct {
	t       *testing.T
	program string
	storage []string
}

func newBuildah(t *testing.T) buildah {
	t.Helper()
	program := servicetest.Program(t, "buildah")
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can mount an image")
		}
		t.Skip("only root can mount an image; skipping")
	}
	dir := t.TempDir()
	return buildah{t, program, []string{"--storage-driver", "vfs", "--root", filepath.Join(dir, "store"), "--runroot", filepath.Join(dir, "run")}}
}

// try returns the output without the last newline.
func (b buildah) try(args ...string) (string, error) {
	cmd := exec.CommandContext(b.t.Context(), b.program, slices.Concat(b.storage, args)...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b buildah) do(args ...string) string {
	b.t.Helper()
	out, err := b.try(args...)
	if err != nil {
		b.t.Fatalf("buildah %s: %v\n%s", args[0], err, out)
	}
	return out
}

// stages splits the Dockerfile before its last FROM.
func stages(t *testing.T) (first, last string) {
	t.Helper()
	text := read(t, "Dockerfile")
	at := strings.LastIndex(text, "\nFROM ")
	if at < 0 {
		t.Fatal("the Dockerfile has no second stage")
	}
	return text[:at], text[at:]
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// rootfs makes a folder in place of the first stage, with the files that it installs: the binary, and the
// test server's certificate as roots.
func rootfs(t *testing.T, binary string, roots []byte) (dir string, files []string) {
	t.Helper()
	first, _ := stages(t)
	dir = t.TempDir()
	for _, m := range regexp.MustCompile(`install -D .* (/rootfs(\S+))`).FindAllStringSubmatch(first, -1) {
		file, mode, content := filepath.Join(dir, m[1]), fs.FileMode(0o644), roots
		if filepath.Base(file) == "authentik-graphql" {
			mode, content = 0o755, []byte(read(t, binary))
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, mode); err != nil {
			t.Fatal(err)
		}
		files = append(files, m[2])
	}
	return dir, files
}

// TestImage builds the Dockerfile's last stage around a binary of this machine, and runs it.
func TestImage(t *testing.T) {
	b := newBuildah(t)
	authentik := httptest.NewTLSServer(upstreamtest.New(upstreamtest.Options{}))
	t.Cleanup(authentik.Close)
	stand, files := rootfs(t, servicetest.Build(t, "-ldflags=-s -w"), certificate(authentik))
	// The format is Docker's, as OCI's has no health check.
	b.do("bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "--build-context", "build="+stand,
		"--build-arg", "VERSION=v1.2.3", "-f", "Dockerfile", "-t", imageName, t.TempDir())
	config := b.config()
	container := b.do("from", "--pull-never", imageName)
	// run runs the entrypoint as the image's user in the host's network.
	run := func(flag string, settings ...string) (string, error) {
		args := []string{"run", "--isolation", "chroot"}
		for _, setting := range settings {
			args = append(args, "--env", setting)
		}
		return b.try(slices.Concat(args, []string{container, "--"}, config.Entrypoint, []string{flag})...)
	}

	t.Run("configuration", func(t *testing.T) { checkImage(t, config) })
	t.Run("files", func(t *testing.T) { checkFiles(t, b.do("mount", container), files) })
	t.Run("version", func(t *testing.T) {
		if out, err := run("-version"); err != nil || !strings.HasPrefix(out, "authentik-graphql devel, go1.") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("roots", func(t *testing.T) {
		if out, err := run("-check", "AUTHENTIK_URL="+authentik.URL); err != nil || !strings.Contains(out, "authentik  ok") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("health", func(t *testing.T) {
		args := slices.Concat([]string{"--userspec=" + config.User, b.do("mount", container)}, config.Entrypoint, []string{"-demo"})
		service := servicetest.Start(t, servicetest.Program(t, "chroot"), args)
		if out, err := run("-healthcheck", "LISTEN_ADDR="+service.Addr); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if out, err := run("-healthcheck", "LISTEN_ADDR=127.0.0.1:1"); err == nil || !strings.Contains(out, "unhealthy: ") {
			t.Errorf("without a listener: %v\n%s", err, out)
		}
	})
}

func certificate(srv *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
}

// imageConfig is the configuration of an image.
type imageConfig struct {
	User         string
	Env          []string
	ExposedPorts map[string]struct{}
	Healthcheck  struct{ Test []string }
	Entrypoint   []string
	Cmd          []string
	Labels       map[string]string
}

func (b buildah) config() imageConfig {
	b.t.Helper()
	var image struct {
		Docker struct{ Config imageConfig }
	}
	if err := json.Unmarshal([]byte(b.do("inspect", "--type", "image", imageName)), &image); err != nil {
		b.t.Fatal(err)
	}
	return image.Docker.Config
}

func checkImage(t *testing.T, c imageConfig) {
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(c.User) {
		t.Errorf("the user is %q, not a number other than root's", c.User)
	}
	if !slices.Equal(c.Entrypoint, []string{"/authentik-graphql"}) || len(c.Cmd) > 0 {
		t.Errorf("it starts %q %q", c.Entrypoint, c.Cmd)
	}
	if want := []string{"CMD", "/authentik-graphql", "-healthcheck"}; !slices.Equal(c.Healthcheck.Test, want) {
		t.Errorf("the health check is %q, want %q", c.Healthcheck.Test, want)
	}
	if !slices.Contains(c.Env, "LISTEN_ADDR=:8080") {
		t.Errorf("the environment is %q", c.Env)
	}
	if _, ok := c.ExposedPorts["8080/tcp"]; !ok || len(c.ExposedPorts) != 1 {
		t.Errorf("it exposes %v, not clients' port alone", c.ExposedPorts)
	}
	for label, want := range map[string]string{"title": "authentik-graphql", "licenses": "MIT", "version": "v1.2.3"} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("the label %s is %q, want %q", label, got, want)
		}
	}
}

// checkFiles checks that the image holds the files of the first stage and no others.
func checkFiles(t *testing.T, root string, want []string) {
	var files []string
	var size int64
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files, size = append(files, strings.TrimPrefix(path, root)), size+info.Size()
		}
		return err
	})
	slices.Sort(want)
	slices.Sort(files)
	if err != nil || !slices.Equal(files, want) || len(want) != 2 {
		t.Errorf("the files are %q, want %q: %v", files, want, err)
	}
	stated := regexp.MustCompile(`It is (\d+) MiB`).FindStringSubmatch(read(t, "README.md"))
	if size > maxImage || stated == nil || math.Abs(float64(size-number(t, stated[1])<<20)) > float64(size)/10 {
		t.Errorf("they have %.1f MiB; the README says %q", float64(size)/(1<<20), stated)
	}
}

// TestDockerfileBuilds checks the first stage, which cannot be built without a registry, against the
// repository.
func TestDockerfileBuilds(t *testing.T) {
	first, last := stages(t)
	release := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	if want := "FROM --platform=$BUILDPLATFORM golang:" + release[1] + " AS build\n"; !strings.Contains(first, want) {
		t.Errorf("the first stage is not %s", want)
	}
	if !strings.Contains(first, "RUN scripts/dist ") || !strings.HasPrefix(last, "\nFROM scratch\n") {
		t.Error("the binary is not that of make dist, or the image is not empty but for it")
	}
	if !strings.Contains(read(t, "../scripts/dist"), `binary=dist/authentik-graphql-${platform/\//-}`) || !strings.Contains(first, `"dist/authentik-graphql-$TARGETOS-$TARGETARCH"`) {
		t.Error("make dist names the binary otherwise")
	}
}

// TestDockerignore: the image's build leaves out exactly what git ignores. If it left out more, Go would
// mark the binary as changed.
func TestDockerignore(t *testing.T) {
	var want []string
	for pattern := range strings.Lines(read(t, "../.gitignore")) {
		if rest, rooted := strings.CutPrefix(pattern, "/"); rooted {
			pattern = rest
		} else if !strings.HasPrefix(pattern, "**/") {
			pattern = "**/" + pattern
		}
		want = append(want, pattern)
	}
	_, patterns, _ := strings.Cut(read(t, "../.dockerignore"), "\n") // below its comment
	if got := strings.Join(want, ""); got != patterns {
		t.Errorf("it holds\n%swant\n%s", patterns, got)
	}
}

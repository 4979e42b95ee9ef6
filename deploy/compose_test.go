package deploy

import (
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"authentik-graphql/internal/releases"
	"authentik-graphql/internal/servicetest"
)

// loadCompose reads the file as Compose does: anything that its schema does not know is an error.
func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(read(t, "compose.yaml"))}},
		Environment: types.Mapping{}, // the file needs no variables
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeService(t *testing.T) {
	project := loadCompose(t)
	service := project.Services["graphql"]
	binary := servicetest.Build(t)
	environ := map[string]string{}
	for name, value := range service.Environment {
		environ[name] = *value
	}
	accepts(t, binary, environ, mounted(service)...)

	for _, name := range []string{"AUTHENTIK_URL", "REDIS_URL"} {
		address, err := url.Parse(environ[name])
		if err != nil {
			t.Fatal(err)
		}
		if !meet(service, project.Services[address.Hostname()]) {
			t.Errorf("%s is %s, which shares no network with the service", name, address)
		}
	}
	settings := servicetest.Settings(t, binary)
	maps.Copy(settings, environ)
	if got := time.Duration(*service.StopGracePeriod); got <= drain(t, settings) {
		t.Errorf("it is killed after %s, and may take %s to end", got, drain(t, settings))
	}
	if got, want := int64(service.MemLimit), mostMemory(t, settings); got < want {
		t.Errorf("it may have %d bytes, and takes up to %d", got, want)
	}
	if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Error("it may do more than it needs")
	}
}

// TestComposeRelease: the release of authentik is tested, and has no hole that is known here.
func TestComposeRelease(t *testing.T) {
	_, tag, _ := strings.Cut(loadCompose(t).Services["server"].Image, ":")
	for _, warning := range releases.Warnings(tag) {
		t.Error(warning)
	}
}

// mounted returns the paths of a service's secrets.
func mounted(s types.ServiceConfig) (paths []string) {
	for _, secret := range s.Secrets {
		paths = append(paths, "/run/secrets/"+secret.Source)
	}
	return paths
}

// meet reports whether two services share a network.
func meet(a, b types.ServiceConfig) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(a.Networks)), func(network string) bool {
		_, ok := b.Networks[network]
		return ok
	})
}

// TestComposePublishes: only authentik and the clients' port of the service are published, and only on the
// loopback.
func TestComposePublishes(t *testing.T) {
	published := map[string][]string{}
	for name, service := range loadCompose(t).Services {
		for _, port := range service.Ports {
			published[name] = append(published[name], port.HostIP+":"+port.Published)
		}
	}
	want := map[string][]string{"graphql": {"127.0.0.1:8080"}, "server": {"127.0.0.1:9000"}}
	if !maps.EqualFunc(published, want, slices.Equal) {
		t.Errorf("published are %v, want %v", published, want)
	}
}

// TestComposeHealth: each service but ours has a health check.
func TestComposeHealth(t *testing.T) {
	for name, service := range loadCompose(t).Services {
		if (service.HealthCheck == nil) != (name == "graphql") { // the image has its own
			t.Errorf("%s has a health check: %t", name, service.HealthCheck != nil)
		}
	}
}

// secretName matches the names of variables that hold a secret.
var secretName = regexp.MustCompile(`(PASSWORD|SECRET)(_KEY)?(_FILE)?$`)

// fileOf returns the file that a variable names: by its suffix for the service and PostgreSQL, by its value
// for authentik.
func fileOf(variable, value string) (file string, named bool) {
	if strings.HasSuffix(variable, "_FILE") {
		return value, true
	}
	return strings.CutPrefix(value, "file://")
}

// TestComposeSecrets: each secret is a file that git ignores, and is mounted where it is read.
func TestComposeSecrets(t *testing.T) {
	project := loadCompose(t)
	readme := read(t, "README.md")
	for name, secret := range project.Secrets {
		if !strings.Contains(readme, "> secrets/"+name+"\n") {
			t.Errorf("the README does not make %s", name)
		}
		if secret.Content != "" || secret.Environment != "" || secret.File != project.WorkingDir+"/secrets/"+name {
			t.Errorf("%s is %+v", name, secret)
		}
	}
	for name, service := range project.Services {
		files := mounted(service)
		for variable, value := range service.Environment {
			file, named := fileOf(variable, *value)
			if secretName.MatchString(variable) != named {
				t.Errorf("%s: %s is %s", name, variable, *value)
			}
			if named && !slices.Contains(files, file) {
				t.Errorf("%s: %s names %s; there are %q", name, variable, file, files)
			}
		}
	}
}

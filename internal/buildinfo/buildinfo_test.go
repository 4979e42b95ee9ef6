package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	info := func(version string, settings ...string) debug.BuildInfo {
		b := debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: version}}
		for i := 0; i < len(settings); i += 2 {
			b.Settings = append(b.Settings, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		return b
	}
	for _, tt := range []struct {
		name, want string
		info       debug.BuildInfo
	}{
		{"a tag", "authentik-graphql v0.1.0, commit 5d41402a, go1.26.8 linux/amd64",
			info("v0.1.0", "GOOS", "linux", "GOARCH", "amd64", "vcs.revision", "5d41402a", "vcs.modified", "false")},
		{"changes", "authentik-graphql v0.1.0+dirty, commit 5d41402a and changes, go1.26.8 darwin/arm64",
			info("v0.1.0+dirty", "GOOS", "darwin", "GOARCH", "arm64", "vcs.revision", "5d41402a", "vcs.modified", "true")},
		{"no repository", "authentik-graphql devel, go1.26.8 linux/amd64", info("(devel)", "GOOS", "linux", "GOARCH", "amd64")},
		{"an empty version", "authentik-graphql devel, go1.26.8 linux/amd64", info("", "GOOS", "linux", "GOARCH", "amd64")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := describe(tt.info); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Package buildinfo names the version, commit and Go release of the running binary, from what the Go
// toolchain records in it. It knows nothing of the service.
package buildinfo

import (
	"runtime/debug"
	"strings"
)

// Version returns the module's version, that of its tag or commit, or "devel" without a repository.
func Version() string { return version(read()) }

// Describe returns the line that -version prints: version, commit and Go release.
func Describe() string { return describe(read()) }

func read() debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return *info
	}
	return debug.BuildInfo{}
}

func version(info debug.BuildInfo) string {
	if info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func describe(info debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	parts := []string{"authentik-graphql " + version(info)}
	if commit := settings["vcs.revision"]; commit != "" {
		if settings["vcs.modified"] == "true" {
			commit += " and changes"
		}
		parts = append(parts, "commit "+commit)
	}
	platform := settings["GOOS"] + "/" + settings["GOARCH"]
	return strings.Join(append(parts, info.GoVersion+" "+platform), ", ")
}

package main

import (
	"runtime/debug"
	"strings"
)

// buildInfo is what Go recorded in the binary.
func buildInfo() debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return *info
	}
	return debug.BuildInfo{}
}

// buildVersion is the module's version: that of the tag or commit it was built from.
func buildVersion() string { return versionOf(buildInfo()) }

func versionOf(info debug.BuildInfo) string {
	if info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// describe is -version's line: version, commit and Go, as far as the binary knows them.
func describe(info debug.BuildInfo) string {
	recorded := map[string]string{}
	for _, s := range info.Settings {
		recorded[s.Key] = s.Value
	}
	parts := []string{"authentik-graphql " + versionOf(info)}
	if commit := recorded["vcs.revision"]; commit != "" {
		if recorded["vcs.modified"] == "true" {
			commit += " and changes"
		}
		parts = append(parts, "commit "+commit)
	}
	platform := recorded["GOOS"] + "/" + recorded["GOARCH"]
	return strings.Join(append(parts, info.GoVersion+" "+platform), ", ")
}

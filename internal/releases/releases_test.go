package releases

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"authentik-graphql/upstream/upstreamtest"
)

func TestWarnings(t *testing.T) {
	const usedBy, redirects, grants, viewers = "CVE-2024-42490", "CVE-2024-52289", "CVE-2026-40166", "GHSA-m9h4-7j9c-55x9"
	for _, tt := range []struct {
		version string
		want    []string // in the warnings, in order
		upgrade string   // empty without a hole
	}{
		{"2022.12.1", []string{"older than 2023.10, the oldest", usedBy, redirects, grants, viewers}, "2026.2.7"},
		{"2023.10.7", []string{usedBy, redirects, grants, viewers}, "2026.2.7"},
		{"2024.4.3", []string{usedBy, redirects, grants, viewers}, "2026.2.7"},
		{"2024.4.4", []string{redirects, grants, viewers}, "2026.2.7"},
		{"2024.6.3", []string{usedBy, redirects, grants, viewers}, "2026.2.7"},
		{"2024.8.0", []string{redirects, grants, viewers}, "2026.2.7"},
		{"2024.8.4", []string{redirects, grants, viewers}, "2026.2.7"},
		{"2024.8.5", []string{grants, viewers}, "2026.2.7"},
		{"2024.10.2", []string{redirects, grants, viewers}, "2026.2.7"},
		{"2024.10.3", []string{grants, viewers}, "2026.2.7"},
		{"2024.12.0", []string{grants, viewers}, "2026.2.7"},
		{"2025.10.4", []string{grants, viewers}, "2026.2.7"},
		{"2025.12.4", []string{grants, viewers}, "2026.2.7"},
		{"2025.12.5", []string{viewers}, "2026.2.7"},
		{"2026.2.2", []string{grants, viewers}, "2026.2.7"},
		{"2026.2.3-rc1", []string{grants, viewers}, "2026.2.7"},
		{"2026.2.3", []string{viewers}, "2026.2.7"},
		{"2026.2.7", nil, ""},
		{"2026.2.10", nil, ""},
		{"2026.5.0-rc1", []string{grants, viewers}, "2026.5.7"},
		{"2026.5.0rc1", []string{grants, viewers}, "2026.5.7"},
		{"2026.5.0", []string{viewers}, "2026.5.7"},
		{"2026.5.7", nil, ""},
		{"2026.8", []string{viewers}, "2026.8.2"},
		{"2026.8.1", []string{viewers}, "2026.8.2"},
		{"2026.8.2", nil, ""},
		{"2026.8.5+0123abc", nil, ""},
		{"2026.8.5-rc2+0123abc", nil, ""},
		{"v2026.8.5", nil, ""},
		{"2026.11.0", []string{"newer than 2026.8, the newest"}, ""},
		{"2026.11.0-rc2", []string{"newer than 2026.8, the newest"}, ""},
		{"2027.2.0", []string{"newer than 2026.8, the newest"}, ""},
		{"", []string{`"" is not the form of a release`}, ""},
		{"main", []string{`"main" is not the form`}, ""},
		{"2026", []string{`"2026" is not the form`}, ""},
		{"hidden\x1b[2J", []string{`"hidden\x1b[2J" is not the form`}, ""},
	} {
		t.Run(tt.version, func(t *testing.T) {
			got := Warnings(tt.version)
			if !slices.EqualFunc(got, tt.want, strings.Contains) {
				t.Errorf("got %q", got)
			}
			for _, warning := range got {
				if _, upgrade, found := strings.Cut(warning, "; upgrade to "); found && upgrade != tt.upgrade {
					t.Errorf("want the upgrade to %s: %s", tt.upgrade, warning)
				}
			}
			if want := slices.ContainsFunc(tt.want, func(w string) bool { return w == grants }); ShowsProviders(tt.version) != want {
				t.Errorf("it shows providers: %t", !want)
			}
		})
	}
}

// TestTested: the lines that are said to be tested are those that the tests play.
func TestTested(t *testing.T) {
	played := upstreamtest.Releases()
	if first, last := played[0], played[len(played)-1]; first != Oldest || last != Newest {
		t.Errorf("the tests play %s to %s", first, last)
	}
}

func FuzzWarnings(f *testing.F) {
	for _, text := range []string{"2026.8.5", "2026.5.0-rc1+a", "v2024.10", "20xx", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, warning := range Warnings(text) {
			if len(warning) > 600 || strings.ContainsFunc(warning, unicode.IsControl) {
				t.Errorf("%q", warning)
			}
		}
	})
}

// Package releases knows what a release of authentik means for this service: whether it is one that the tests play,
// and which published holes it has in what this service reads or shows.
package releases

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Oldest and Newest are the first and the last line of releases that the tests play.
const (
	Oldest = "2023.10"
	Newest = "2026.8"
)

// hole is a published hole. A line of releases without a fix of its own has the hole if a later line needed one.
type hole struct {
	id     string
	effect string
	fixed  []version // the first release of each line that is fixed, in order
}

// fullProviders is the hole that a code or token shows its provider in full.
// https://www.cve.org/CVERecord?id=CVE-2026-40166
var fullProviders = hole{
	id:     "CVE-2026-40166",
	effect: "any user may read the client secret of each provider that they hold a code or token of",
	fixed:  []version{{year: 2025, month: 12, patch: 5}, {year: 2026, month: 2, patch: 3}, {year: 2026, month: 5}},
}

// holes are all that concern codes, tokens and their providers.
var holes = []hole{
	{ // https://github.com/goauthentik/authentik/security/advisories/GHSA-qxqc-27pr-wgc8
		id:     "CVE-2024-42490",
		effect: "any user may ask what uses an object whose id they know",
		fixed:  []version{{year: 2024, month: 4, patch: 4}, {year: 2024, month: 6, patch: 4}, {year: 2024, month: 8}},
	},
	{ // https://github.com/goauthentik/authentik/security/advisories/GHSA-3q5w-6m3x-64gj
		id:     "CVE-2024-52289",
		effect: "redirect URIs are compared as regular expressions",
		fixed:  []version{{year: 2024, month: 8, patch: 5}, {year: 2024, month: 10, patch: 3}, {year: 2024, month: 12}},
	},
	fullProviders,
	{ // https://github.com/goauthentik/authentik/security/advisories/GHSA-m9h4-7j9c-55x9
		id:     "GHSA-m9h4-7j9c-55x9",
		effect: "whoever may view a provider may read its client secret",
		fixed:  []version{{year: 2026, month: 2, patch: 7}, {year: 2026, month: 5, patch: 7}, {year: 2026, month: 8, patch: 2}},
	},
}

// Warnings lists what is to be said against an authentik of a version, as authentik writes it. Each is a sentence
// that names the version. A version of an unknown form is a warning, too.
func Warnings(text string) (warnings []string) {
	v, ok := parse(text)
	if !ok {
		return []string{fmt.Sprintf("%.40q is not the form of a release, so that nothing is known of it", text)}
	}
	oldest, _ := parse(Oldest)
	newest, _ := parse(Newest)
	if compareLines(v, oldest) < 0 {
		warnings = append(warnings, fmt.Sprintf("%s is older than %s, the oldest that is supported", text, Oldest))
	}
	if compareLines(v, newest) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s is newer than %s, the newest that is tested", text, Newest))
	}
	upgrade := safe(v)
	for _, h := range holes {
		if _, affected := h.fix(v); affected {
			warnings = append(warnings, fmt.Sprintf("%s has %s: %s; upgrade to %s", text, h.id, h.effect, upgrade))
		}
	}
	return warnings
}

// ShowsProviders reports whether a version is known to show a provider in full in each code and token, whatever
// permissions the caller has.
func ShowsProviders(text string) bool {
	v, ok := parse(text)
	_, affected := fullProviders.fix(v)
	return ok && affected
}

// fix returns the first release from v on that is fixed, and whether v is not.
func (h hole) fix(v version) (first version, affected bool) {
	for _, f := range h.fixed {
		if compareLines(v, f) < 0 || compareLines(v, f) == 0 && v.compare(f) < 0 {
			return f, true
		}
		if compareLines(v, f) == 0 {
			break
		}
	}
	return v, false
}

// safe returns the first release from v on that has no hole.
func safe(v version) version {
	for again := true; again; {
		again = false
		for _, h := range holes {
			if f, affected := h.fix(v); affected {
				v, again = f, true
			}
		}
	}
	return v
}

// version is a release, such as 2026.2.3, or what came before it, such as 2026.2.3-rc1.
type version struct {
	year, month, patch int
	pre                bool
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v.year, v.month, v.patch) }

// form is that of authentik's versions, with room for other suffixes: 2026.2.3, 2026.5.0-rc1, 2026.5.0rc1 and
// 2026.2.3+0123abc, which is a build of the release. What follows a hyphen or a letter comes before the release.
var form = regexp.MustCompile(`^v?(20\d\d)\.(\d{1,2})(?:\.(\d{1,3}))?([-.a-zA-Z][-.0-9a-zA-Z]{0,60})?(?:\+[-.0-9a-zA-Z]{0,60})?$`)

func parse(text string) (version, bool) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return version{}, false
	}
	n := func(digits string) int { i, _ := strconv.Atoi(cmp.Or(digits, "0")); return i }
	return version{year: n(m[1]), month: n(m[2]), patch: n(m[3]), pre: m[4] != ""}, true
}

func (v version) compare(w version) int {
	pre := func(v version) int {
		if v.pre {
			return 0
		}
		return 1
	}
	return cmp.Or(compareLines(v, w), cmp.Compare(v.patch, w.patch), cmp.Compare(pre(v), pre(w)))
}

// compareLines compares the lines of two releases, which are what comes before the second dot.
func compareLines(v, w version) int {
	return cmp.Or(cmp.Compare(v.year, w.year), cmp.Compare(v.month, w.month))
}

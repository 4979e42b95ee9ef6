package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// formerSettings are limits that are fixed now.
var formerSettings = strings.Fields("MAX_NAME MAX_FIELDS MAX_ALIASES MAX_ROOT_FIELDS MAX_REPEATS MAX_DIRECTIVES " +
	"MAX_OPERATIONS MAX_VALUE_DEPTH MAX_VARIABLES MAX_INTROSPECTION_DEPTH MAX_ERRORS MAX_URL MAX_HEADERS")

// Hints lists what an environment sets in vain: names that are almost those of settings, and former settings.
// Neither is an error, because an environment holds names for other programs as well.
func Hints(environ []string) (hints []string) {
	names := map[string]bool{}
	for _, s := range Settings() {
		names[s.Name] = true
		if s.Secret {
			names[s.Name+"_FILE"] = true
		}
	}
	for _, entry := range environ {
		given, value, _ := strings.Cut(entry, "=")
		if names[given] || value == "" || len(given) < 6 {
			continue
		}
		if slices.Contains(formerSettings, given) {
			hints = append(hints, given+" is no longer a setting; docs/tuning.md lists the limits that are fixed")
			continue
		}
		for name := range names {
			if near := levenshtein.ComputeDistance(given, name); near == 1 || near == 2 && len(name) > 10 {
				hints = append(hints, fmt.Sprintf("%s is no setting; is %s meant?", given, name))
			}
		}
	}
	slices.Sort(hints)
	return hints
}

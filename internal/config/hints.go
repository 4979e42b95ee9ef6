package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"authentik-graphql/graph"
	"authentik-graphql/graph/document"
)

// fixed has the limits that used to be settings, with their values.
var fixed = map[string]int{
	"MAX_NAME":                document.MaxName,
	"MAX_FIELDS":              document.MaxFields,
	"MAX_ALIASES":             document.MaxAliases,
	"MAX_ROOT_FIELDS":         document.MaxRootFields,
	"MAX_REPEATS":             document.MaxRepeats,
	"MAX_DIRECTIVES":          document.MaxDirectives,
	"MAX_OPERATIONS":          document.MaxOperations,
	"MAX_VALUE_DEPTH":         document.MaxValueDepth,
	"MAX_VARIABLES":           document.MaxVariables,
	"MAX_INTROSPECTION_DEPTH": document.MaxIntrospectionDepth,
	"MAX_ERRORS":              document.MaxErrors,
	"MAX_URL":                 graph.MaxURL,
	"MAX_HEADERS":             graph.MaxHeaders,
}

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
		if value, former := fixed[given]; former {
			hints = append(hints, fmt.Sprintf("%s is no longer a setting; its value is fixed at %d", given, value))
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

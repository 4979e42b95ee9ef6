package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// misspelt lists names in an environment that are almost those of settings: the mistake would else go
// unseen, since an environment has all kinds of names.
func misspelt(environ []string) (all []string) {
	names := map[string]bool{}
	for _, s := range settings() {
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
		for name := range names {
			if near := levenshtein.ComputeDistance(given, name); near == 1 || near == 2 && len(name) > 10 {
				all = append(all, fmt.Sprintf("%s is no setting; is %s meant?", given, name))
			}
		}
	}
	slices.Sort(all)
	return all
}

package grants

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"authentik-graphql/upstream"
)

// defaultRedaction is in force unless it is taken away by name or with "none".
const defaultRedaction = "OAuth2Provider.clientSecret"

// Redaction is a set of fields that are null for every caller. They are dropped from a grant before a cache
// or a resolver sees it. The zero Redaction drops nothing.
type Redaction struct {
	coordinates []string
}

// ParseRedaction reads a list of schema coordinates such as `User.email`, which are added to the default,
// `OAuth2Provider.clientSecret`. `-Type.field` takes one away and `none` takes all away, in the order given.
// A coordinate of anything but a nullable field of a grant is an error that names it.
func ParseRedaction(list []string) (Redaction, error) {
	set := map[string]bool{defaultRedaction: true}
	for _, item := range list {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if item == "none" {
			clear(set)
			continue
		}
		given, remove := strings.CutPrefix(item, "-")
		coordinate, ok := upstream.Redactable(given)
		if !ok {
			return Redaction{}, fmt.Errorf("%q cannot be redacted: it is no field of a grant, its provider or its user that can be null", given)
		}
		if remove {
			delete(set, coordinate)
		} else {
			set[coordinate] = true
		}
	}
	return Redaction{slices.Sorted(maps.Keys(set))}, nil
}

// String is the set in one canonical form, which is part of every cache key.
func (r Redaction) String() string { return strings.Join(r.coordinates, ",") }

// HidesSecret reports whether the clients' secrets are dropped.
func (r Redaction) HidesSecret() bool { return slices.Contains(r.coordinates, defaultRedaction) }

// Covers reports whether a field of the schema such as `User.email` is null for every caller.
func (r Redaction) Covers(coordinate string) bool {
	effective, _ := upstream.Redactable(coordinate)
	return slices.Contains(r.coordinates, effective)
}

// Apply drops the fields from a grant that nothing else refers to yet.
func (r Redaction) Apply(resource upstream.Resource, g *upstream.Grant) {
	upstream.RedactGrant(resource, g, r.coordinates)
}

// ApplyToProvider does the same with a provider that was read by itself.
func (r Redaction) ApplyToProvider(p *upstream.Provider) { upstream.RedactProvider(p, r.coordinates) }

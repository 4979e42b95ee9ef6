package upstream

// Redactable reports whether a schema coordinate such as User.email names a field that can be redacted. A
// deprecated field is redacted by the coordinate of the field that shows the same value.
func Redactable(coordinate string) (effective string, ok bool) {
	for _, o := range grantObjects {
		if r, ok := o.redactions[coordinate]; ok {
			return r.coordinate, true
		}
	}
	return "", false
}

// RedactGrant sets the fields with these coordinates to null. The caller must be the only one that holds
// the grant. EndsAt stays, so that a grant whose expires is redacted still expires.
func RedactGrant(resource Resource, g *Grant, coordinates []string) {
	for _, coordinate := range coordinates {
		if r, ok := grantObjects[resource].redactions[coordinate]; ok {
			r.clear(g)
		}
	}
}

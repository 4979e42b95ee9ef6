package upstream

import (
	"reflect"
	"slices"
	"strings"
)

// grantTypes names the resources' types in the schema.
var grantTypes = map[Resource]string{
	AuthorizationCodes: "AuthorizationCode", AccessTokens: "AccessToken", RefreshTokens: "RefreshToken",
}

// schemaTypes names the types in the schema of what a grant contains.
var schemaTypes = map[reflect.Type]string{
	reflect.TypeFor[Provider]():    "OAuth2Provider",
	reflect.TypeFor[RedirectURI](): "RedirectURI",
	reflect.TypeFor[User]():        "User",
	reflect.TypeFor[Group]():       "Group",
	reflect.TypeFor[Role]():        "Role",
}

// deprecated has the fields of the schema that show the same value as another.
var deprecated = map[string]string{
	"OAuth2Provider.backchannelLogoutUri": "OAuth2Provider.logoutUri",
	"OAuth2Provider.jwksSources":          "OAuth2Provider.jwtFederationSources",
}

// redactions are the fields that can be null, by resource and coordinate in the schema, as the indexes of
// the structs' fields that lead to them.
var redactions = makeRedactions()

func makeRedactions() map[Resource]map[string][]int {
	all := map[Resource]map[string][]int{}
	for resource, typeName := range grantTypes {
		all[resource] = map[string][]int{}
		addRedactions(all[resource], typeName, reflect.TypeFor[Grant](), nil)
	}
	delete(all[AuthorizationCodes], "AuthorizationCode.claims")
	delete(all[AuthorizationCodes], "AuthorizationCode.revoked")
	return all
}

// addRedactions adds those of a struct. A field is named by its tag "schema", else by the camel case of its
// name in JSON.
func addRedactions(all map[string][]int, typeName string, t reflect.Type, path []int) {
	for f := range t.Fields() {
		name := f.Tag.Get("schema")
		if kind := f.Type.Kind(); kind != reflect.Pointer && kind != reflect.Slice || name == "-" {
			continue
		}
		if name == "" {
			name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
			name = camelCase(name)
		}
		path := append(slices.Clone(path), f.Index...)
		all[typeName+"."+name] = path
		if below, ok := schemaTypes[f.Type.Elem()]; ok {
			addRedactions(all, below, f.Type.Elem(), path)
		}
	}
}

// camelCase is how the schema spells a name of authentik's.
func camelCase(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// Redactable reports whether a schema coordinate such as User.email names a field that can be redacted. A
// deprecated field is redacted by the coordinate of the field that shows the same value.
func Redactable(coordinate string) (effective string, ok bool) {
	if effective, ok = deprecated[coordinate]; ok {
		return effective, true
	}
	for _, all := range redactions {
		if _, ok := all[coordinate]; ok {
			return coordinate, true
		}
	}
	return "", false
}

// RedactGrant sets the fields with these coordinates to null. The caller must be the only one that holds
// the grant. EndsAt stays, so that a grant whose expires is redacted still expires.
func RedactGrant(resource Resource, g *Grant, coordinates []string) {
	for _, coordinate := range coordinates {
		if path := redactions[resource][coordinate]; path != nil {
			setNull(reflect.ValueOf(g), path)
		}
	}
}

// setNull sets a field below v to null, wherever it is in a list.
func setNull(v reflect.Value, path []int) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		setNull(v.Elem(), path)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			setNull(v.Index(i), path)
		}
	case v.Kind() == reflect.Struct && len(path) == 1:
		v.Field(path[0]).SetZero()
	case v.Kind() == reflect.Struct:
		setNull(v.Field(path[0]), path[1:])
	}
}

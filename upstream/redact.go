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
	reflect.TypeFor[Provider]():    providerType,
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

// providerRedactions are the same for a provider that is read by itself.
var providerRedactions = func() map[string][]int {
	all := map[string][]int{}
	addRedactions(all, providerType, reflect.TypeFor[Provider](), nil)
	return all
}()

const providerType = "OAuth2Provider"

// oauth2Fields are the fields of the schema's OAuth2Provider that a partial provider lacks.
var oauth2Fields = func() map[string]bool {
	fields := map[string]bool{}
	for f := range reflect.TypeFor[oauth2Settings]().Fields() {
		fields[schemaName(f)] = true
	}
	for coordinate, effective := range deprecated {
		fields[strings.TrimPrefix(coordinate, providerType+".")] = fields[strings.TrimPrefix(effective, providerType+".")]
	}
	return fields
}()

// LackedByPartial reports whether a partial provider lacks a field of the schema's OAuth2Provider.
func LackedByPartial(field string) bool { return oauth2Fields[field] }

// addRedactions adds those of a struct.
func addRedactions(all map[string][]int, typeName string, t reflect.Type, path []int) {
	for _, f := range reflect.VisibleFields(t) {
		name := schemaName(f)
		if kind := f.Type.Kind(); kind != reflect.Pointer && kind != reflect.Slice || name == "-" {
			continue
		}
		path := append(slices.Clone(path), f.Index...)
		all[typeName+"."+name] = path
		if below, ok := schemaTypes[f.Type.Elem()]; ok {
			addRedactions(all, below, f.Type.Elem(), path)
		}
	}
}

// schemaName is a field's name in the schema: its tag "schema", else the camel case of its name in JSON.
func schemaName(f reflect.StructField) string {
	if name := f.Tag.Get("schema"); name != "" {
		return name
	}
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return camelCase(name)
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
	redact(reflect.ValueOf(g), redactions[resource], coordinates)
	if g.Provider != nil && slices.ContainsFunc(coordinates, func(c string) bool {
		return c == providerType+".clientId" || c == grantTypes[resource]+".claims"
	}) {
		g.Provider.Audience = nil
	}
}

// RedactProvider does the same with a provider that was read by itself.
func RedactProvider(p *Provider, coordinates []string) {
	redact(reflect.ValueOf(p), providerRedactions, coordinates)
}

func redact(v reflect.Value, paths map[string][]int, coordinates []string) {
	for _, coordinate := range coordinates {
		if path := paths[coordinate]; path != nil {
			setNull(v, path)
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

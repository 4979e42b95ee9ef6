package upstreamtest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// wire writes rows as one release sends them. Both flags come from the query of
// the request; releases that do not know a flag ignore it.
type wire struct {
	release       Release
	world         *world
	includeGroups bool
	includeRoles  bool
	now           time.Time
}

// row writes one row.
func (f wire) row(resource Resource, r row) object {
	o := object{
		{"pk", r.PK},
		{"provider", f.nestedProvider(r.issuer)},
		{"user", f.user(f.world.named(r.Owner))},
		{"is_expired", r.expired(f.now)},
		{"expires", timestamp(r.Expires)},
		{"scope", list(r.Scope)},
	}
	o.addIf(resource.hasTokenFields(), "id_token", r.idToken)
	o.addIf(resource.hasTokenFields(), "revoked", r.revoked)
	return o
}

// nestedProvider writes the provider of a row.
func (f wire) nestedProvider(p *provider) object {
	if f.release.genericProvider() {
		return f.genericProvider(p)
	}
	return f.provider(p, true)
}

// readProvider writes a provider that caller reads by itself.
func (f wire) readProvider(p *provider, caller *user) object {
	return f.provider(p, !f.release.from(R2026_8) || caller.holds(ChangeProvider, p.pk))
}

// genericProvider writes the keys that providers of every kind have.
func (f wire) genericProvider(p *provider) object {
	r := f.release
	o := object{
		{"pk", p.pk},
		{"name", p.name},
		{"authentication_flow", p.authenticationFlow},
		{"authorization_flow", p.authorizationFlow},
	}
	o.addIf(r.from(R2024_12), "invalidation_flow", p.invalidationFlow)
	o.add("property_mappings", list(p.propertyMappings))
	o.add("component", "ak-provider-oauth2-form")
	o.add("assigned_application_slug", p.slug)
	o.add("assigned_application_name", p.application)
	// Earlier releases document these two as required and leave them out.
	o.addIf(r.from(R2025_8), "assigned_backchannel_application_slug", nil)
	o.addIf(r.from(R2025_8), "assigned_backchannel_application_name", nil)
	o.add("verbose_name", "OAuth2/OpenID Provider")
	o.add("verbose_name_plural", "OAuth2/OpenID Providers")
	o.add("meta_model_name", "authentik_providers_oauth2.oauth2provider")
	return o
}

// provider writes the whole provider, with its client secret or without.
func (f wire) provider(p *provider, secret bool) object {
	r := f.release
	o := f.genericProvider(p)
	o.add("client_type", p.clientType)
	o.addIf(r.from(R2026_5), "grant_types", list(p.grantTypes))
	o.add("client_id", p.clientID)
	o.addIf(secret, "client_secret", p.clientSecret)
	o.add("access_code_validity", "minutes=1")
	o.add("access_token_validity", "hours=1")
	o.add("refresh_token_validity", "days=30")
	o.addIf(r.from(R2025_12), "refresh_token_threshold", "seconds=0")
	o.add("include_claims_in_id_token", true)
	o.add("signing_key", p.signingKey)
	o.addIf(r.from(R2024_12), "encryption_key", nil)
	o.add("redirect_uris", f.redirects(p.redirects))
	o.addIf(r == R2025_8, "backchannel_logout_uri", p.logoutURI)
	o.addIf(r.from(R2025_12), "logout_uri", p.logoutURI)
	o.addIf(r.from(R2025_12), "logout_method", "backchannel")
	o.add("sub_mode", "hashed_user_id")
	o.add("issuer_mode", "per_provider")
	if !r.from(R2024_12) {
		o.add("jwks_sources", list[string](nil))
		return o
	}
	o.add("jwt_federation_sources", list[string](nil))
	o.add("jwt_federation_providers", list(p.federated))
	return o
}

// redirects is one pattern a line up to 2024.8, an array of objects later.
func (f wire) redirects(all []redirect) any {
	if !f.release.from(R2026_5) {
		all = slices.DeleteFunc(list(all), func(r redirect) bool { return r.kind != "" })
	}
	if !f.release.from(R2024_12) {
		lines := make([]string, len(all))
		for i, r := range all {
			lines[i] = r.url
		}
		return strings.Join(lines, "\n")
	}
	objects := make([]object, len(all))
	for i, r := range all {
		objects[i] = object{{"matching_mode", r.mode}, {"url", r.url}}
		objects[i].addIf(f.release.from(R2026_5), "redirect_uri_type", cmp.Or(r.kind, "authorization"))
	}
	return objects
}

func (f wire) user(u *user) object {
	const changed = "2025-11-23T06:33:25.498733Z"
	r := f.release
	o := object{
		{"pk", u.pk},
		{"username", u.username},
		{"name", u.name},
		{"is_active", true},
		{"last_login", u.lastLogin},
	}
	o.addIf(r.from(R2025_8), "date_joined", changed)
	o.add("is_superuser", u.superuser)
	o.add("groups", each(u.groups, func(g group) string { return g.pk }))
	o.add("groups_obj", f.groups(u.groups))
	o.addIf(r.from(R2025_12), "roles", each(u.roles, func(r role) string { return r.pk }))
	o.addIf(r.from(R2025_12), "roles_obj", f.roles(u.roles))
	o.add("email", u.email)
	o.add("avatar", u.avatar)
	o.add("attributes", u.attributes)
	o.add("uid", u.uid)
	o.add("path", u.path)
	o.add("type", "internal")
	o.add("uuid", u.uuid)
	o.addIf(r.from(R2025_8), "password_change_date", changed)
	o.addIf(r.from(R2025_8), "last_updated", changed)
	return o
}

func (f wire) groups(all []group) any {
	if f.release.from(R2024_8) && !f.includeGroups {
		return nil
	}
	objects := make([]object, len(all))
	for i, g := range all {
		o := object{{"pk", g.pk}, {"num_pk", g.numPK}, {"name", g.name}, {"is_superuser", g.superuser}}
		if !f.release.from(R2025_12) {
			o.add("parent", g.parent)
			// Up to 2024.2 a group without parent has no parent_name at all.
			o.addIf(f.release.from(R2024_8) || g.parent != nil, "parent_name", g.parentName)
		}
		o.add("attributes", g.attributes)
		objects[i] = o
	}
	return objects
}

func (f wire) roles(all []role) any {
	if !f.includeRoles {
		return nil
	}
	objects := make([]object, len(all))
	for i, r := range all {
		objects[i] = object{{"pk", r.pk}, {"name", r.name}}
	}
	return objects
}

// each returns what of makes of all, never nil.
func each[T, U any](all []T, of func(T) U) []U {
	made := make([]U, len(all))
	for i, v := range all {
		made[i] = of(v)
	}
	return made
}

// list keeps an empty list from being written as null.
func list[T any](all []T) []T { return append([]T{}, all...) }

// timestamp writes UTC with six digits of fraction, or none when it is zero;
// the zero time is null.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	if t.Nanosecond()/1000 == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

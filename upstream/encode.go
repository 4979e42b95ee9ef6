package upstream

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendGrant writes a code for storage, in the keys of the newest release, so that one decoder
// reads both. What it appends holds everything the code holds, its secret too: it must be sealed
// before it leaves the process.
func AppendGrant(b []byte, c *Grant) []byte {
	w := writer{append(b, '{')}
	w.grant(c)
	w.close()
	return w.b
}

// writer appends JSON. A nil value leaves its key out.
type writer struct{ b []byte }

// grant writes the members of a grant.
func (w *writer) grant(c *Grant) {
	w.int("pk", int32(c.PK))
	w.provider(c.Provider)
	w.user(c.User)
	w.boolean("is_expired", &c.Expired)
	w.time("expires", c.Expires)
	w.texts("scope", c.Scope)
	w.boolean("revoked", c.Revoked)
	w.raw(storedClaims, c.Claims)
	if !c.EndsAt.IsZero() {
		w.key(storedEndsAt)
		w.b = strconv.AppendInt(w.b, c.EndsAt.UnixMicro(), 10)
	}
}

func (w *writer) provider(p *Provider) {
	if p == nil {
		return
	}
	w.open("provider")
	w.int("pk", int32(p.PK))
	w.text("name", p.Name)
	w.text("authentication_flow", p.AuthenticationFlow)
	w.text("authorization_flow", p.AuthorizationFlow)
	w.text("invalidation_flow", p.InvalidationFlow)
	w.texts("property_mappings", p.PropertyMappings)
	w.text("component", p.Component)
	w.text("assigned_application_slug", p.AssignedApplicationSlug)
	w.text("assigned_application_name", p.AssignedApplicationName)
	w.text("assigned_backchannel_application_slug", p.AssignedBackchannelApplicationSlug)
	w.text("assigned_backchannel_application_name", p.AssignedBackchannelApplicationName)
	w.text("verbose_name", p.VerboseName)
	w.text("verbose_name_plural", p.VerboseNamePlural)
	w.text("meta_model_name", p.MetaModelName)
	w.text("client_type", p.ClientType)
	w.text("client_id", p.ClientID)
	w.text("client_secret", (*string)(p.ClientSecret))
	w.text("access_code_validity", p.AccessCodeValidity)
	w.text("access_token_validity", p.AccessTokenValidity)
	w.text("refresh_token_validity", p.RefreshTokenValidity)
	w.text("refresh_token_threshold", p.RefreshTokenThreshold)
	w.boolean("include_claims_in_id_token", p.IncludeClaimsInIDToken)
	w.text("signing_key", p.SigningKey)
	w.text("encryption_key", p.EncryptionKey)
	objects(w, "redirect_uris", p.RedirectURIs, func(uri RedirectURI) {
		w.text("matching_mode", uri.MatchingMode)
		w.text("url", uri.URL)
	})
	w.text("logout_uri", p.LogoutURI)
	w.text("logout_method", p.LogoutMethod)
	w.text("sub_mode", p.SubMode)
	w.text("issuer_mode", p.IssuerMode)
	w.texts("jwt_federation_sources", p.JWTFederationSources)
	if p.JWTFederationProviders != nil {
		w.key("jwt_federation_providers")
		w.b = append(w.b, '[')
		for _, pk := range p.JWTFederationProviders {
			w.comma()
			w.b = strconv.AppendInt(w.b, int64(pk), 10)
		}
		w.b = append(w.b, ']')
	}
	w.close()
}

func (w *writer) user(u *User) {
	if u == nil {
		return
	}
	w.open("user")
	w.int("pk", int32(u.PK))
	w.text("username", u.Username)
	w.text("name", u.Name)
	w.boolean("is_active", u.IsActive)
	w.time("last_login", u.LastLogin)
	w.time("date_joined", u.DateJoined)
	w.boolean("is_superuser", u.IsSuperuser)
	w.texts("groups", u.GroupIDs)
	objects(w, "groups_obj", u.Groups, func(g Group) {
		w.text("pk", &g.PK)
		if g.NumPK != nil {
			w.int("num_pk", *g.NumPK)
		}
		w.text("name", g.Name)
		w.boolean("is_superuser", g.IsSuperuser)
		w.text("parent", g.Parent)
		w.text("parent_name", g.ParentName)
		w.raw("attributes", g.Attributes)
	})
	w.texts("roles", u.RoleIDs)
	objects(w, "roles_obj", u.Roles, func(r Role) {
		w.text("pk", &r.PK)
		w.text("name", r.Name)
	})
	w.text("email", u.Email)
	w.text("avatar", u.Avatar)
	w.raw("attributes", u.Attributes)
	w.text("uid", u.UID)
	w.text("path", u.Path)
	w.text("type", u.Type)
	w.text("uuid", u.UUID)
	w.time("password_change_date", u.PasswordChangeDate)
	w.time("last_updated", u.LastUpdated)
	w.close()
}

// objects writes a list of objects whose members the function writes.
func objects[T any](w *writer, key string, items []T, members func(T)) {
	if items == nil {
		return
	}
	w.key(key)
	w.b = append(w.b, '[')
	for _, item := range items {
		w.open("")
		members(item)
		w.close()
	}
	w.b = append(w.b, ']')
}

func (w *writer) comma() {
	if last := w.b[len(w.b)-1]; last != '{' && last != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) key(key string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, key...)
	w.b = append(w.b, '"', ':')
}

// open begins an object, as a member if it has a key and as a list element otherwise.
func (w *writer) open(key string) {
	if key != "" {
		w.key(key)
	} else {
		w.comma()
	}
	w.b = append(w.b, '{')
}

func (w *writer) close() { w.b = append(w.b, '}') }

func (w *writer) int(key string, n int32) {
	w.key(key)
	w.b = strconv.AppendInt(w.b, int64(n), 10)
}

func (w *writer) text(key string, s *string) {
	if s != nil {
		w.key(key)
		w.quote(*s)
	}
}

func (w *writer) texts(key string, items []string) {
	if items == nil {
		return
	}
	w.key(key)
	w.b = append(w.b, '[')
	for _, s := range items {
		w.comma()
		w.quote(s)
	}
	w.b = append(w.b, ']')
}

// quote writes a text, which is in UTF-8.
func (w *writer) quote(s string) { w.b, _ = jsontext.AppendQuote(w.b, s) }

func (w *writer) boolean(key string, v *bool) {
	if v != nil {
		w.key(key)
		w.b = strconv.AppendBool(w.b, *v)
	}
}

func (w *writer) time(key string, t *time.Time) {
	if t != nil {
		w.key(key)
		w.b = t.AppendFormat(append(w.b, '"'), time.RFC3339Nano)
		w.b = append(w.b, '"')
	}
}

func (w *writer) raw(key string, v jsontext.Value) {
	if len(v) > 0 {
		w.key(key)
		w.b = append(w.b, v...)
	}
}

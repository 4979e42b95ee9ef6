package upstream

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// storedEndsAt is the one key of our own in a stored code: [Code.EndsAt] in microseconds.
const storedEndsAt = "_ends_at"

// storedClaims is where the claims of a stored token are: as JSON, not as a text.
const storedClaims = "_claims"

// DecodeGrant reads a code as authentik sends it. An answer without pk, provider.pk or user.pk is an
// error, and so is an is_expired or expires of an unexpected type, though both may be absent. Any
// other field of an unexpected type becomes nil and is named in dropped, such as "user.email". A
// text that is not JSON in UTF-8 is an error.
//
// sent is when the request left: an Expires before it, on a code that authentik calls alive,
// means that the code never expires.
func DecodeGrant(body []byte, sent time.Time) (c *Grant, dropped []string, err error) {
	d := decoder{sent: sent}
	c, err = d.decode(body)
	return c, d.dropped, err
}

// RestoreGrant reads what [EncodeGrant] wrote.
func RestoreGrant(stored []byte) (*Grant, error) {
	d := decoder{stored: true}
	return d.decode(stored)
}

// decoder walks the JSON text once and assigns each known key. The result shares no memory with
// the text.
type decoder struct {
	sent    time.Time
	stored  bool
	checked bool // the text is known to be JSON
	dropped []string
	held    int // bytes of all that was allocated for the result
	err     error
}

var errSyntax = errors.New("decode: not a JSON object in UTF-8")

func (d *decoder) decode(body []byte) (*Grant, error) {
	root, err := d.root(body)
	if err != nil {
		return nil, err
	}
	g := d.grant(root)
	if d.err != nil {
		return nil, d.err
	}
	g.size = d.held
	return g, nil
}

// root parses a text that is a JSON object.
func (d *decoder) root(body []byte) (root gjson.Result, err error) {
	if !utf8.Valid(body) || !d.checked && !validJSON(body) {
		return root, errSyntax
	}
	// gjson.ParseBytes would copy the text, for no use: the result keeps nothing of it.
	root = gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body))) //nolint:gosec // see above
	if !root.IsObject() {
		return root, errSyntax
	}
	return root, nil
}

func (d *decoder) grant(v gjson.Result) *Grant {
	c := &Grant{Scope: []string{}}
	holds[Grant](d, 1)
	said := false
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "pk":
			c.PK = d.pk("pk", v)
		case "provider":
			c.Provider = d.provider(v)
		case "user":
			c.User = d.user(v)
		case "is_expired":
			said = d.isExpired(c, v)
		case "expires":
			c.Expires = d.expires(v)
		case "scope":
			c.Scope = d.texts("scope", v)
		case "id_token":
			c.Claims = d.claims(v)
		case "revoked":
			c.Revoked = d.boolean("revoked", v)
		case storedClaims:
			if d.stored {
				c.Claims = d.raw(v)
			}
		case storedEndsAt:
			if d.stored {
				c.EndsAt = time.UnixMicro(v.Int()).UTC()
			}
		}
		return true
	})
	if c.Scope == nil {
		c.Scope = []string{}
	}
	if c.PK == 0 {
		d.fail("pk is missing")
	}
	if d.stored { // judged when it was fetched, and redaction may have taken provider or user
		return c
	}
	if c.Provider == nil || c.User == nil {
		d.fail("provider or user is missing")
	}
	d.judge(c, said)
	return c
}

// judge settles Expired and EndsAt from what authentik said and when it was asked.
func (d *decoder) judge(c *Grant, said bool) {
	if c.Expires == nil {
		return
	}
	switch later := c.Expires.After(d.sent); {
	case later && !c.Expired:
		c.EndsAt = c.Expires.Truncate(time.Microsecond) // as it is stored, and as authentik sends it
	case !later && !said:
		c.Expired = true
	}
}

func (d *decoder) provider(v gjson.Result) *Provider {
	if !v.IsObject() {
		return nil
	}
	p := &Provider{}
	holds[Provider](d, 1)
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "pk":
			p.PK = d.pk("provider.pk", v)
		case "name":
			p.Name = d.text("provider.name", v)
		case "authentication_flow":
			p.AuthenticationFlow = d.uuid("provider.authentication_flow", v)
		case "authorization_flow":
			p.AuthorizationFlow = d.uuid("provider.authorization_flow", v)
		case "invalidation_flow":
			p.InvalidationFlow = d.uuid("provider.invalidation_flow", v)
		case "property_mappings":
			p.PropertyMappings = d.uuids("provider.property_mappings", v)
		case "component":
			p.Component = d.text("provider.component", v)
		case "assigned_application_slug":
			p.AssignedApplicationSlug = d.text("provider.assigned_application_slug", v)
		case "assigned_application_name":
			p.AssignedApplicationName = d.text("provider.assigned_application_name", v)
		case "assigned_backchannel_application_slug":
			p.AssignedBackchannelApplicationSlug = d.text("provider.assigned_backchannel_application_slug", v)
		case "assigned_backchannel_application_name":
			p.AssignedBackchannelApplicationName = d.text("provider.assigned_backchannel_application_name", v)
		case "verbose_name":
			p.VerboseName = d.text("provider.verbose_name", v)
		case "verbose_name_plural":
			p.VerboseNamePlural = d.text("provider.verbose_name_plural", v)
		case "meta_model_name":
			p.MetaModelName = d.text("provider.meta_model_name", v)
		case "client_type":
			p.ClientType = d.text("provider.client_type", v)
		case "client_id":
			p.ClientID = d.text("provider.client_id", v)
		case "client_secret":
			p.ClientSecret = (*Secret)(d.text("provider.client_secret", v))
		case "access_code_validity":
			p.AccessCodeValidity = d.text("provider.access_code_validity", v)
		case "access_token_validity":
			p.AccessTokenValidity = d.text("provider.access_token_validity", v)
		case "refresh_token_validity":
			p.RefreshTokenValidity = d.text("provider.refresh_token_validity", v)
		case "refresh_token_threshold":
			p.RefreshTokenThreshold = d.text("provider.refresh_token_threshold", v)
		case "include_claims_in_id_token":
			p.IncludeClaimsInIDToken = d.boolean("provider.include_claims_in_id_token", v)
		case "signing_key":
			p.SigningKey = d.uuid("provider.signing_key", v)
		case "encryption_key":
			p.EncryptionKey = d.uuid("provider.encryption_key", v)
		case "redirect_uris":
			p.RedirectURIs = d.redirectURIs(v)
		case "logout_uri":
			p.LogoutURI = coalesce(d.text("provider.logout_uri", v), p.LogoutURI)
		case "backchannel_logout_uri":
			p.LogoutURI = coalesce(p.LogoutURI, d.text("provider.backchannel_logout_uri", v))
		case "logout_method":
			p.LogoutMethod = d.text("provider.logout_method", v)
		case "sub_mode":
			p.SubMode = d.text("provider.sub_mode", v)
		case "issuer_mode":
			p.IssuerMode = d.text("provider.issuer_mode", v)
		case "jwt_federation_sources":
			if sources := d.uuids("provider.jwt_federation_sources", v); sources != nil {
				p.JWTFederationSources = sources
			}
		case "jwks_sources":
			if sources := d.uuids("provider.jwks_sources", v); p.JWTFederationSources == nil {
				p.JWTFederationSources = sources
			}
		case "jwt_federation_providers":
			p.JWTFederationProviders = list(d, "provider.jwt_federation_providers", v, integer)
		}
		return true
	})
	if p.PK == 0 {
		d.fail("provider.pk is missing")
	}
	return p
}

// redirectURIs reads the list of newer releases and the text of older ones, whose words are
// entries without a mode.
func (d *decoder) redirectURIs(v gjson.Result) []RedirectURI {
	if v.Type == gjson.String {
		words := strings.Fields(v.Str)
		uris := make([]RedirectURI, len(words))
		holds[string](d, len(words))
		holds[RedirectURI](d, len(words))
		for i := range words {
			words[i] = d.keep(words[i])
			uris[i].URL = &words[i]
		}
		return uris
	}
	return list(d, "provider.redirect_uris", v, func(v gjson.Result) (uri RedirectURI, ok bool) {
		if !v.IsObject() {
			return uri, false
		}
		uri.MatchingMode = d.text("provider.redirect_uris.matching_mode", v.Get("matching_mode"))
		uri.URL = d.text("provider.redirect_uris.url", v.Get("url"))
		return uri, true
	})
}

func (d *decoder) user(v gjson.Result) *User {
	if !v.IsObject() {
		return nil
	}
	u := &User{}
	holds[User](d, 1)
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "pk":
			u.PK = d.pk("user.pk", v)
		case "username":
			u.Username = d.text("user.username", v)
		case "name":
			u.Name = d.text("user.name", v)
		case "is_active":
			u.IsActive = d.boolean("user.is_active", v)
		case "last_login":
			u.LastLogin = d.time("user.last_login", v)
		case "date_joined":
			u.DateJoined = d.time("user.date_joined", v)
		case "is_superuser":
			u.IsSuperuser = d.boolean("user.is_superuser", v)
		case "groups":
			u.GroupIDs = d.uuids("user.groups", v)
		case "groups_obj":
			u.Groups = list(d, "user.groups_obj", v, d.group)
		case "roles":
			u.RoleIDs = d.uuids("user.roles", v)
		case "roles_obj":
			u.Roles = list(d, "user.roles_obj", v, d.role)
		case "email":
			u.Email = d.text("user.email", v)
		case "avatar":
			u.Avatar = d.text("user.avatar", v)
		case "attributes":
			u.Attributes = d.raw(v)
		case "uid":
			u.UID = d.text("user.uid", v)
		case "path":
			u.Path = d.text("user.path", v)
		case "type":
			u.Type = d.text("user.type", v)
		case "uuid":
			u.UUID = d.uuid("user.uuid", v)
		case "password_change_date":
			u.PasswordChangeDate = d.time("user.password_change_date", v)
		case "last_updated":
			u.LastUpdated = d.time("user.last_updated", v)
		}
		return true
	})
	if u.PK == 0 {
		d.fail("user.pk is missing")
	}
	return u
}

func (d *decoder) group(v gjson.Result) (g Group, ok bool) {
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "pk":
			g.PK, _ = d.asUUID(v)
		case "num_pk":
			g.NumPK = optional(d, "user.groups_obj.num_pk", v, integer)
		case "name":
			g.Name = d.text("user.groups_obj.name", v)
		case "is_superuser":
			g.IsSuperuser = d.boolean("user.groups_obj.is_superuser", v)
		case "parent":
			g.Parent = d.uuid("user.groups_obj.parent", v)
		case "parent_name":
			g.ParentName = d.text("user.groups_obj.parent_name", v)
		case "attributes":
			g.Attributes = d.raw(v)
		}
		return true
	})
	return g, v.IsObject() && g.PK != ""
}

func (d *decoder) role(v gjson.Result) (r Role, ok bool) {
	if !v.IsObject() {
		return r, false
	}
	r.PK, _ = d.asUUID(v.Get("pk"))
	r.Name = d.text("user.roles_obj.name", v.Get("name"))
	return r, r.PK != ""
}

// fail records the first violation of a strict field. The text is constant: it goes to the log.
func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("decode: %s", what)
	}
}

func (d *decoder) pk(name string, v gjson.Result) PK {
	n, ok := integer(v)
	if !ok || n < 1 {
		d.fail(name + " is not a primary key")
	}
	return PK(n)
}

// isExpired reads authentik's flag and tells whether it was there.
func (d *decoder) isExpired(c *Grant, v gjson.Result) (said bool) {
	if v.Type == gjson.Null {
		return false
	}
	if !v.IsBool() {
		d.fail("is_expired is not a boolean")
	}
	c.Expired = v.Bool()
	return true
}

func (d *decoder) expires(v gjson.Result) *time.Time {
	if v.Type == gjson.Null {
		return nil
	}
	t, ok := asTime(v)
	if !ok {
		d.fail("expires is not a time")
	}
	return &t
}

func (d *decoder) text(name string, v gjson.Result) *string    { return optional(d, name, v, d.asText) }
func (d *decoder) uuid(name string, v gjson.Result) *string    { return optional(d, name, v, d.asUUID) }
func (d *decoder) boolean(name string, v gjson.Result) *bool   { return optional(d, name, v, asBool) }
func (d *decoder) time(name string, v gjson.Result) *time.Time { return optional(d, name, v, asTime) }
func (d *decoder) texts(name string, v gjson.Result) []string  { return list(d, name, v, d.asText) }
func (d *decoder) uuids(name string, v gjson.Result) []string  { return list(d, name, v, d.asUUID) }

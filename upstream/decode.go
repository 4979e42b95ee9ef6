package upstream

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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
	c, err = d.decode(string(body))
	return c, d.dropped, err
}

// RestoreGrant reads what [AppendGrant] wrote. The grant has parts of it.
func RestoreGrant(stored string) (*Grant, error) {
	d := decoder{stored: true}
	return d.decode(stored)
}

// decoder walks the JSON text once and assigns each known key. The texts of the result are parts of it,
// unless it is large.
type decoder struct {
	reader
	sent    time.Time
	stored  bool
	dropped []string

	letters  strings.Builder
	strings  block[string]
	booleans block[bool]
	times    block[time.Time]
	integers block[int32]
}

func (d *decoder) decode(text string) (g *Grant, err error) {
	if err := d.read(text, func() { g = d.grant() }); err != nil {
		return nil, err
	}
	return g, nil
}

func (d *decoder) grant() *Grant {
	c := &Grant{Scope: []string{}}
	said := false
	isObject := d.object(func(key string) {
		switch key {
		case "pk":
			c.PK = d.pk("pk")
		case "provider":
			c.Provider = d.provider()
		case "user":
			c.User = d.user()
		case "is_expired":
			said = d.isExpired(c)
		case "expires":
			c.Expires = d.expires()
		case "scope":
			c.Scope = d.texts("scope")
		case "id_token":
			c.Claims = d.claims()
		case "revoked":
			c.Revoked = d.boolean("revoked")
		case storedClaims:
			if v := d.next(); d.stored {
				c.Claims = raw(v)
			}
		case storedEndsAt:
			if us, err := strconv.ParseInt(d.next(), 10, 64); d.stored && err == nil {
				c.EndsAt = time.UnixMicro(us).UTC()
			}
		default:
			d.next()
		}
	})
	if !isObject {
		d.refuse("a grant is no object")
	}
	if c.Scope == nil {
		c.Scope = []string{}
	}
	if c.PK == 0 {
		d.refuse("pk is missing")
	}
	if d.stored { // judged when it was fetched, and redaction may have taken provider or user
		return c
	}
	if c.Provider == nil || c.User == nil {
		d.refuse("provider or user is missing")
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

func (d *decoder) provider() *Provider {
	p := &Provider{}
	isObject := d.object(func(key string) {
		switch key {
		case "pk":
			p.PK = d.pk("provider.pk")
		case "name":
			p.Name = d.text("provider.name")
		case "authentication_flow":
			p.AuthenticationFlow = d.uuid("provider.authentication_flow")
		case "authorization_flow":
			p.AuthorizationFlow = d.uuid("provider.authorization_flow")
		case "invalidation_flow":
			p.InvalidationFlow = d.uuid("provider.invalidation_flow")
		case "property_mappings":
			p.PropertyMappings = d.uuids("provider.property_mappings")
		case "component":
			p.Component = d.text("provider.component")
		case "assigned_application_slug":
			p.AssignedApplicationSlug = d.text("provider.assigned_application_slug")
		case "assigned_application_name":
			p.AssignedApplicationName = d.text("provider.assigned_application_name")
		case "assigned_backchannel_application_slug":
			p.AssignedBackchannelApplicationSlug = d.text("provider.assigned_backchannel_application_slug")
		case "assigned_backchannel_application_name":
			p.AssignedBackchannelApplicationName = d.text("provider.assigned_backchannel_application_name")
		case "verbose_name":
			p.VerboseName = d.text("provider.verbose_name")
		case "verbose_name_plural":
			p.VerboseNamePlural = d.text("provider.verbose_name_plural")
		case "meta_model_name":
			p.MetaModelName = d.text("provider.meta_model_name")
		case "client_type":
			p.ClientType = d.text("provider.client_type")
		case "client_id":
			p.ClientID = d.text("provider.client_id")
		case "client_secret":
			p.ClientSecret = (*Secret)(d.text("provider.client_secret"))
		case "access_code_validity":
			p.AccessCodeValidity = d.text("provider.access_code_validity")
		case "access_token_validity":
			p.AccessTokenValidity = d.text("provider.access_token_validity")
		case "refresh_token_validity":
			p.RefreshTokenValidity = d.text("provider.refresh_token_validity")
		case "refresh_token_threshold":
			p.RefreshTokenThreshold = d.text("provider.refresh_token_threshold")
		case "include_claims_in_id_token":
			p.IncludeClaimsInIDToken = d.boolean("provider.include_claims_in_id_token")
		case "signing_key":
			p.SigningKey = d.uuid("provider.signing_key")
		case "encryption_key":
			p.EncryptionKey = d.uuid("provider.encryption_key")
		case "redirect_uris":
			p.RedirectURIs = d.redirectURIs()
		case "logout_uri":
			p.LogoutURI = coalesce(d.text("provider.logout_uri"), p.LogoutURI)
		case "backchannel_logout_uri":
			p.LogoutURI = coalesce(p.LogoutURI, d.text("provider.backchannel_logout_uri"))
		case "logout_method":
			p.LogoutMethod = d.text("provider.logout_method")
		case "sub_mode":
			p.SubMode = d.text("provider.sub_mode")
		case "issuer_mode":
			p.IssuerMode = d.text("provider.issuer_mode")
		case "jwt_federation_sources":
			if sources := d.uuids("provider.jwt_federation_sources"); sources != nil {
				p.JWTFederationSources = sources
			}
		case "jwks_sources":
			if sources := d.uuids("provider.jwks_sources"); p.JWTFederationSources == nil {
				p.JWTFederationSources = sources
			}
		case "jwt_federation_providers":
			p.JWTFederationProviders = list(d, "provider.jwt_federation_providers", func() (int32, bool) { return integer(d.next()) })
		default:
			d.next()
		}
	})
	if !isObject {
		return nil
	}
	if p.PK == 0 {
		d.refuse("provider.pk is missing")
	}
	return p
}

// redirectURIs reads the list of newer releases and the text of older ones, whose words are
// entries without a mode.
func (d *decoder) redirectURIs() []RedirectURI {
	if d.peek() == '"' {
		words := strings.Fields(d.own(unquote(d.next())))
		uris := make([]RedirectURI, len(words))
		for i := range words {
			uris[i].URL = &words[i]
		}
		return uris
	}
	return list(d, "provider.redirect_uris", func() (uri RedirectURI, ok bool) {
		ok = d.object(func(key string) {
			switch key {
			case "matching_mode":
				uri.MatchingMode = d.text("provider.redirect_uris.matching_mode")
			case "url":
				uri.URL = d.text("provider.redirect_uris.url")
			default:
				d.next()
			}
		})
		return uri, ok
	})
}

func (d *decoder) user() *User {
	u := &User{}
	isObject := d.object(func(key string) {
		switch key {
		case "pk":
			u.PK = d.pk("user.pk")
		case "username":
			u.Username = d.text("user.username")
		case "name":
			u.Name = d.text("user.name")
		case "is_active":
			u.IsActive = d.boolean("user.is_active")
		case "last_login":
			u.LastLogin = d.time("user.last_login")
		case "date_joined":
			u.DateJoined = d.time("user.date_joined")
		case "is_superuser":
			u.IsSuperuser = d.boolean("user.is_superuser")
		case "groups":
			u.GroupIDs = d.uuids("user.groups")
		case "groups_obj":
			u.Groups = list(d, "user.groups_obj", d.group)
		case "roles":
			u.RoleIDs = d.uuids("user.roles")
		case "roles_obj":
			u.Roles = list(d, "user.roles_obj", d.role)
		case "email":
			u.Email = d.text("user.email")
		case "avatar":
			u.Avatar = d.text("user.avatar")
		case "attributes":
			u.Attributes = raw(d.next())
		case "uid":
			u.UID = d.text("user.uid")
		case "path":
			u.Path = d.text("user.path")
		case "type":
			u.Type = d.text("user.type")
		case "uuid":
			u.UUID = d.uuid("user.uuid")
		case "password_change_date":
			u.PasswordChangeDate = d.time("user.password_change_date")
		case "last_updated":
			u.LastUpdated = d.time("user.last_updated")
		default:
			d.next()
		}
	})
	if !isObject {
		return nil
	}
	if u.PK == 0 {
		d.refuse("user.pk is missing")
	}
	return u
}

func (d *decoder) group() (g Group, ok bool) {
	ok = d.object(func(key string) {
		switch key {
		case "pk":
			g.PK, _ = d.asUUID(d.next())
		case "num_pk":
			g.NumPK = d.integer("user.groups_obj.num_pk")
		case "name":
			g.Name = d.text("user.groups_obj.name")
		case "is_superuser":
			g.IsSuperuser = d.boolean("user.groups_obj.is_superuser")
		case "parent":
			g.Parent = d.uuid("user.groups_obj.parent")
		case "parent_name":
			g.ParentName = d.text("user.groups_obj.parent_name")
		case "attributes":
			g.Attributes = raw(d.next())
		default:
			d.next()
		}
	})
	return g, ok && g.PK != ""
}

func (d *decoder) role() (r Role, ok bool) {
	ok = d.object(func(key string) {
		switch key {
		case "pk":
			r.PK, _ = d.asUUID(d.next())
		case "name":
			r.Name = d.text("user.roles_obj.name")
		default:
			d.next()
		}
	})
	return r, ok && r.PK != ""
}

// refuse ends the walk because of a strict field. The text is constant: it goes to the log.
func (d *decoder) refuse(what string) { d.fail(fmt.Errorf("decode: %s", what)) }

func (d *decoder) pk(name string) PK {
	n, ok := integer(d.next())
	if !ok || n < 1 {
		d.refuse(name + " is not a primary key")
	}
	return PK(n)
}

// isExpired reads authentik's flag and tells whether it was there.
func (d *decoder) isExpired(c *Grant) (said bool) {
	v := d.next()
	if isNull(v) {
		return false
	}
	expired, ok := asBool(v)
	if !ok {
		d.refuse("is_expired is not a boolean")
	}
	c.Expired = expired
	return true
}

func (d *decoder) expires() *time.Time {
	v := d.next()
	if isNull(v) {
		return nil
	}
	t, ok := asTime(v)
	if !ok {
		d.refuse("expires is not a time")
	}
	return &t
}

func (d *decoder) text(name string) *string    { return optional(d, name, &d.strings, d.asText) }
func (d *decoder) uuid(name string) *string    { return optional(d, name, &d.strings, d.asUUID) }
func (d *decoder) boolean(name string) *bool   { return optional(d, name, &d.booleans, asBool) }
func (d *decoder) time(name string) *time.Time { return optional(d, name, &d.times, asTime) }
func (d *decoder) integer(name string) *int32  { return optional(d, name, &d.integers, integer) }

func (d *decoder) texts(name string) []string {
	return list(d, name, func() (string, bool) { return d.asText(d.next()) })
}

func (d *decoder) uuids(name string) []string {
	return list(d, name, func() (string, bool) { return d.asUUID(d.next()) })
}

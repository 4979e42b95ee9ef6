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

// renamed maps a deprecated field to the one that shows the same value: they are redacted together, or the
// old name would give away what the new one hides.
var renamed = map[string]string{
	"OAuth2Provider.jwksSources":          "OAuth2Provider.jwtFederationSources",
	"OAuth2Provider.backchannelLogoutUri": "OAuth2Provider.logoutUri",
}

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
		coordinate := given
		if current, ok := renamed[given]; ok {
			coordinate = current
		}
		if _, ok := drops[coordinate]; !ok {
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

// Apply drops the fields from a grant that nothing else refers to yet. The end of a grant is kept apart from
// the field that shows it, so that a grant whose `expires` is redacted still expires.
func (r Redaction) Apply(resource upstream.Resource, g *upstream.Grant) {
	for _, coordinate := range r.coordinates {
		drops[coordinate](resource, g)
	}
}

type drop func(upstream.Resource, *upstream.Grant)

func of(resource upstream.Resource, f func(*upstream.Grant)) drop {
	return func(r upstream.Resource, g *upstream.Grant) {
		if r == resource {
			f(g)
		}
	}
}

func ofProvider(f func(*upstream.Provider)) drop {
	return func(_ upstream.Resource, c *upstream.Grant) {
		if c.Provider != nil {
			f(c.Provider)
		}
	}
}

func ofUser(f func(*upstream.User)) drop {
	return func(_ upstream.Resource, c *upstream.Grant) {
		if c.User != nil {
			f(c.User)
		}
	}
}

func ofURIs(f func(*upstream.RedirectURI)) drop {
	return ofProvider(func(p *upstream.Provider) { every(p.RedirectURIs, f) })
}

func ofGroups(f func(*upstream.Group)) drop {
	return ofUser(func(u *upstream.User) { every(u.Groups, f) })
}

func ofRoles(f func(*upstream.Role)) drop {
	return ofUser(func(u *upstream.User) { every(u.Roles, f) })
}

func every[T any](list []T, f func(*T)) {
	for i := range list {
		f(&list[i])
	}
}

// drops has one entry for every nullable field of the types below the grants.
var drops = map[string]drop{
	"AuthorizationCode.provider": of(upstream.AuthorizationCodes, func(g *upstream.Grant) { g.Provider = nil }),
	"AuthorizationCode.user":     of(upstream.AuthorizationCodes, func(g *upstream.Grant) { g.User = nil }),
	"AuthorizationCode.expires":  of(upstream.AuthorizationCodes, func(g *upstream.Grant) { g.Expires = nil }),

	"AccessToken.provider": of(upstream.AccessTokens, func(g *upstream.Grant) { g.Provider = nil }),
	"AccessToken.user":     of(upstream.AccessTokens, func(g *upstream.Grant) { g.User = nil }),
	"AccessToken.expires":  of(upstream.AccessTokens, func(g *upstream.Grant) { g.Expires = nil }),
	"AccessToken.revoked":  of(upstream.AccessTokens, func(g *upstream.Grant) { g.Revoked = nil }),
	"AccessToken.claims":   of(upstream.AccessTokens, func(g *upstream.Grant) { g.Claims = nil }),

	"RefreshToken.provider": of(upstream.RefreshTokens, func(g *upstream.Grant) { g.Provider = nil }),
	"RefreshToken.user":     of(upstream.RefreshTokens, func(g *upstream.Grant) { g.User = nil }),
	"RefreshToken.expires":  of(upstream.RefreshTokens, func(g *upstream.Grant) { g.Expires = nil }),
	"RefreshToken.revoked":  of(upstream.RefreshTokens, func(g *upstream.Grant) { g.Revoked = nil }),
	"RefreshToken.claims":   of(upstream.RefreshTokens, func(g *upstream.Grant) { g.Claims = nil }),

	"OAuth2Provider.name":                               ofProvider(func(p *upstream.Provider) { p.Name = nil }),
	"OAuth2Provider.authenticationFlow":                 ofProvider(func(p *upstream.Provider) { p.AuthenticationFlow = nil }),
	"OAuth2Provider.authorizationFlow":                  ofProvider(func(p *upstream.Provider) { p.AuthorizationFlow = nil }),
	"OAuth2Provider.invalidationFlow":                   ofProvider(func(p *upstream.Provider) { p.InvalidationFlow = nil }),
	"OAuth2Provider.propertyMappings":                   ofProvider(func(p *upstream.Provider) { p.PropertyMappings = nil }),
	"OAuth2Provider.component":                          ofProvider(func(p *upstream.Provider) { p.Component = nil }),
	"OAuth2Provider.assignedApplicationSlug":            ofProvider(func(p *upstream.Provider) { p.AssignedApplicationSlug = nil }),
	"OAuth2Provider.assignedApplicationName":            ofProvider(func(p *upstream.Provider) { p.AssignedApplicationName = nil }),
	"OAuth2Provider.assignedBackchannelApplicationSlug": ofProvider(func(p *upstream.Provider) { p.AssignedBackchannelApplicationSlug = nil }),
	"OAuth2Provider.assignedBackchannelApplicationName": ofProvider(func(p *upstream.Provider) { p.AssignedBackchannelApplicationName = nil }),
	"OAuth2Provider.verboseName":                        ofProvider(func(p *upstream.Provider) { p.VerboseName = nil }),
	"OAuth2Provider.verboseNamePlural":                  ofProvider(func(p *upstream.Provider) { p.VerboseNamePlural = nil }),
	"OAuth2Provider.metaModelName":                      ofProvider(func(p *upstream.Provider) { p.MetaModelName = nil }),
	"OAuth2Provider.clientType":                         ofProvider(func(p *upstream.Provider) { p.ClientType = nil }),
	"OAuth2Provider.clientId":                           ofProvider(func(p *upstream.Provider) { p.ClientID = nil }),
	"OAuth2Provider.clientSecret":                       ofProvider(func(p *upstream.Provider) { p.ClientSecret = nil }),
	"OAuth2Provider.accessCodeValidity":                 ofProvider(func(p *upstream.Provider) { p.AccessCodeValidity = nil }),
	"OAuth2Provider.accessTokenValidity":                ofProvider(func(p *upstream.Provider) { p.AccessTokenValidity = nil }),
	"OAuth2Provider.refreshTokenValidity":               ofProvider(func(p *upstream.Provider) { p.RefreshTokenValidity = nil }),
	"OAuth2Provider.refreshTokenThreshold":              ofProvider(func(p *upstream.Provider) { p.RefreshTokenThreshold = nil }),
	"OAuth2Provider.includeClaimsInIdToken":             ofProvider(func(p *upstream.Provider) { p.IncludeClaimsInIDToken = nil }),
	"OAuth2Provider.signingKey":                         ofProvider(func(p *upstream.Provider) { p.SigningKey = nil }),
	"OAuth2Provider.encryptionKey":                      ofProvider(func(p *upstream.Provider) { p.EncryptionKey = nil }),
	"OAuth2Provider.redirectUris":                       ofProvider(func(p *upstream.Provider) { p.RedirectURIs = nil }),
	"OAuth2Provider.logoutUri":                          ofProvider(func(p *upstream.Provider) { p.LogoutURI = nil }),
	"OAuth2Provider.logoutMethod":                       ofProvider(func(p *upstream.Provider) { p.LogoutMethod = nil }),
	"OAuth2Provider.subMode":                            ofProvider(func(p *upstream.Provider) { p.SubMode = nil }),
	"OAuth2Provider.issuerMode":                         ofProvider(func(p *upstream.Provider) { p.IssuerMode = nil }),
	"OAuth2Provider.jwtFederationSources":               ofProvider(func(p *upstream.Provider) { p.JWTFederationSources = nil }),
	"OAuth2Provider.jwtFederationProviders":             ofProvider(func(p *upstream.Provider) { p.JWTFederationProviders = nil }),

	"RedirectURI.matchingMode": ofURIs(func(uri *upstream.RedirectURI) { uri.MatchingMode = nil }),
	"RedirectURI.url":          ofURIs(func(uri *upstream.RedirectURI) { uri.URL = nil }),

	"User.username":           ofUser(func(u *upstream.User) { u.Username = nil }),
	"User.name":               ofUser(func(u *upstream.User) { u.Name = nil }),
	"User.isActive":           ofUser(func(u *upstream.User) { u.IsActive = nil }),
	"User.lastLogin":          ofUser(func(u *upstream.User) { u.LastLogin = nil }),
	"User.dateJoined":         ofUser(func(u *upstream.User) { u.DateJoined = nil }),
	"User.isSuperuser":        ofUser(func(u *upstream.User) { u.IsSuperuser = nil }),
	"User.groupIds":           ofUser(func(u *upstream.User) { u.GroupIDs = nil }),
	"User.groups":             ofUser(func(u *upstream.User) { u.Groups = nil }),
	"User.roleIds":            ofUser(func(u *upstream.User) { u.RoleIDs = nil }),
	"User.roles":              ofUser(func(u *upstream.User) { u.Roles = nil }),
	"User.email":              ofUser(func(u *upstream.User) { u.Email = nil }),
	"User.avatar":             ofUser(func(u *upstream.User) { u.Avatar = nil }),
	"User.attributes":         ofUser(func(u *upstream.User) { u.Attributes = nil }),
	"User.uid":                ofUser(func(u *upstream.User) { u.UID = nil }),
	"User.path":               ofUser(func(u *upstream.User) { u.Path = nil }),
	"User.type":               ofUser(func(u *upstream.User) { u.Type = nil }),
	"User.uuid":               ofUser(func(u *upstream.User) { u.UUID = nil }),
	"User.passwordChangeDate": ofUser(func(u *upstream.User) { u.PasswordChangeDate = nil }),
	"User.lastUpdated":        ofUser(func(u *upstream.User) { u.LastUpdated = nil }),

	"Group.numPk":       ofGroups(func(g *upstream.Group) { g.NumPK = nil }),
	"Group.name":        ofGroups(func(g *upstream.Group) { g.Name = nil }),
	"Group.isSuperuser": ofGroups(func(g *upstream.Group) { g.IsSuperuser = nil }),
	"Group.parent":      ofGroups(func(g *upstream.Group) { g.Parent = nil }),
	"Group.parentName":  ofGroups(func(g *upstream.Group) { g.ParentName = nil }),
	"Group.attributes":  ofGroups(func(g *upstream.Group) { g.Attributes = nil }),

	"Role.name": ofRoles(func(r *upstream.Role) { r.Name = nil }),
}

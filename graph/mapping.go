package graph

import (
	"strings"
	"time"

	"authentik-graphql/graph/model"
	"authentik-graphql/upstream"
)

// mapCode shows a code at a time. The model shares the strings of the domain value, which does not change.
func mapCode(c *upstream.Grant, fetchedAt, now time.Time) *model.AuthorizationCode {
	return &model.AuthorizationCode{
		ID:        c.PK.String(),
		Pk:        int32(c.PK),
		Provider:  mapProvider(c.Provider),
		User:      mapUser(c.User),
		IsExpired: c.ExpiredAt(now),
		Expires:   c.Expires,
		Scope:     c.Scope,
		FetchedAt: fetchedAt,
	}
}

func mapAccessToken(g *upstream.Grant, fetchedAt, now time.Time) *model.AccessToken {
	return &model.AccessToken{
		ID:        g.PK.String(),
		Pk:        int32(g.PK),
		Provider:  mapProvider(g.Provider),
		User:      mapUser(g.User),
		IsExpired: g.ExpiredAt(now),
		Expires:   g.Expires,
		Scope:     g.Scope,
		FetchedAt: fetchedAt,
		Revoked:   g.Revoked,
		Claims:    g.Claims,
	}
}

func mapRefreshToken(g *upstream.Grant, fetchedAt, now time.Time) *model.RefreshToken {
	t := model.RefreshToken(*mapAccessToken(g, fetchedAt, now)) // the same fields
	return &t
}

func mapProvider(p *upstream.Provider) *model.OAuth2Provider {
	if p == nil {
		return nil
	}
	return &model.OAuth2Provider{
		ID:                                 p.PK.String(),
		Pk:                                 int32(p.PK),
		Name:                               p.Name,
		AuthenticationFlow:                 (*string)(p.AuthenticationFlow),
		AuthorizationFlow:                  (*string)(p.AuthorizationFlow),
		InvalidationFlow:                   (*string)(p.InvalidationFlow),
		PropertyMappings:                   p.PropertyMappings,
		Component:                          p.Component,
		AssignedApplicationSlug:            p.AssignedApplicationSlug,
		AssignedApplicationName:            p.AssignedApplicationName,
		AssignedBackchannelApplicationSlug: p.AssignedBackchannelApplicationSlug,
		AssignedBackchannelApplicationName: p.AssignedBackchannelApplicationName,
		VerboseName:                        p.VerboseName,
		VerboseNamePlural:                  p.VerboseNamePlural,
		MetaModelName:                      p.MetaModelName,
		ClientType:                         enum[model.ClientType](p.ClientType),
		GrantTypes:                         p.GrantTypes,
		ClientID:                           p.ClientID,
		ClientSecret:                       (*string)(p.ClientSecret),
		AccessCodeValidity:                 p.AccessCodeValidity,
		AccessTokenValidity:                p.AccessTokenValidity,
		RefreshTokenValidity:               p.RefreshTokenValidity,
		RefreshTokenThreshold:              p.RefreshTokenThreshold,
		IncludeClaimsInIDToken:             p.IncludeClaimsInIDToken,
		SigningKey:                         (*string)(p.SigningKey),
		EncryptionKey:                      (*string)(p.EncryptionKey),
		RedirectUris:                       each(p.RedirectURIs, mapRedirectURI),
		LogoutURI:                          p.LogoutURI,
		BackchannelLogoutURI:               p.LogoutURI,
		LogoutMethod:                       enum[model.LogoutMethod](p.LogoutMethod),
		SubMode:                            enum[model.SubMode](p.SubMode),
		IssuerMode:                         enum[model.IssuerMode](p.IssuerMode),
		JwksSources:                        p.JWTFederationSources,
		JwtFederationSources:               p.JWTFederationSources,
		JwtFederationProviders:             p.JWTFederationProviders,
		Partial:                            p.Partial,
	}
}

func mapRedirectURI(uri upstream.RedirectURI) model.RedirectURI {
	return model.RedirectURI{
		MatchingMode: enum[model.RedirectURIMatchingMode](uri.MatchingMode),
		URL:          uri.URL,
		Type:         enum[model.RedirectURIType](uri.Type),
	}
}

func mapUser(u *upstream.User) *model.User {
	if u == nil {
		return nil
	}
	return &model.User{
		ID:                 u.PK.String(),
		Pk:                 int32(u.PK),
		Username:           u.Username,
		Name:               u.Name,
		IsActive:           u.IsActive,
		LastLogin:          u.LastLogin,
		DateJoined:         u.DateJoined,
		IsSuperuser:        u.IsSuperuser,
		GroupIds:           u.GroupIDs,
		Groups:             each(u.Groups, mapGroup),
		RoleIds:            u.RoleIDs,
		Roles:              each(u.Roles, mapRole),
		Email:              u.Email,
		Avatar:             u.Avatar,
		Attributes:         u.Attributes,
		UID:                u.UID,
		Path:               u.Path,
		Type:               enum[model.UserType](u.Type),
		UUID:               (*string)(u.UUID),
		PasswordChangeDate: u.PasswordChangeDate,
		LastUpdated:        u.LastUpdated,
	}
}

func mapGroup(g upstream.Group) model.Group {
	return model.Group{
		ID:          string(g.PK),
		Pk:          string(g.PK),
		NumPk:       g.NumPK,
		Name:        g.Name,
		IsSuperuser: g.IsSuperuser,
		Parent:      (*string)(g.Parent),
		ParentName:  g.ParentName,
		Attributes:  g.Attributes,
	}
}

func mapRole(r upstream.Role) model.Role {
	return model.Role{ID: string(r.PK), Pk: string(r.PK), Name: r.Name}
}

// each maps a list; nil, which is null, stays nil.
func each[A, B any](list []A, convert func(A) B) []B {
	if list == nil {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = convert(a)
	}
	return out
}

// enum returns the GraphQL value for authentik's text, which is the value's name in lower case. It is UNKNOWN
// for a text of a later release.
func enum[E interface {
	~string
	IsValid() bool
}](text *string) *E {
	if text == nil {
		return nil
	}
	value := E(strings.ToUpper(*text))
	if !value.IsValid() {
		value = "UNKNOWN"
	}
	return &value
}

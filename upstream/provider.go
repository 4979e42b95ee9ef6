package upstream

import "strings"

// Provider is an OAuth2 provider: the client application a grant was issued to.
type Provider struct {
	PK                                 PK
	Name                               *string
	AuthenticationFlow                 *string // UUID
	AuthorizationFlow                  *string // UUID
	InvalidationFlow                   *string // UUID
	PropertyMappings                   []string
	Component                          *string
	AssignedApplicationSlug            *string
	AssignedApplicationName            *string
	AssignedBackchannelApplicationSlug *string
	AssignedBackchannelApplicationName *string
	VerboseName                        *string
	VerboseNamePlural                  *string
	MetaModelName                      *string
	ClientType                         *string
	ClientID                           *string
	ClientSecret                       *Secret
	AccessCodeValidity                 *string
	AccessTokenValidity                *string
	RefreshTokenValidity               *string
	RefreshTokenThreshold              *string
	IncludeClaimsInIDToken             *bool
	SigningKey                         *string // UUID
	EncryptionKey                      *string // UUID
	RedirectURIs                       []RedirectURI
	LogoutURI                          *string
	LogoutMethod                       *string
	SubMode                            *string
	IssuerMode                         *string
	JWTFederationSources               []string
	JWTFederationProviders             []int32
}

var providerObject = newObject("provider", "OAuth2Provider",
	key(func(p *Provider) *PK { return &p.PK }),
	text("name", func(p *Provider) **string { return &p.Name }),
	uuid("authentication_flow", func(p *Provider) **string { return &p.AuthenticationFlow }),
	uuid("authorization_flow", func(p *Provider) **string { return &p.AuthorizationFlow }),
	uuid("invalidation_flow", func(p *Provider) **string { return &p.InvalidationFlow }),
	uuids("property_mappings", func(p *Provider) *[]string { return &p.PropertyMappings }),
	text("component", func(p *Provider) **string { return &p.Component }),
	text("assigned_application_slug", func(p *Provider) **string { return &p.AssignedApplicationSlug }),
	text("assigned_application_name", func(p *Provider) **string { return &p.AssignedApplicationName }),
	text("assigned_backchannel_application_slug",
		func(p *Provider) **string { return &p.AssignedBackchannelApplicationSlug }),
	text("assigned_backchannel_application_name",
		func(p *Provider) **string { return &p.AssignedBackchannelApplicationName }),
	text("verbose_name", func(p *Provider) **string { return &p.VerboseName }),
	text("verbose_name_plural", func(p *Provider) **string { return &p.VerboseNamePlural }),
	text("meta_model_name", func(p *Provider) **string { return &p.MetaModelName }),
	text("client_type", func(p *Provider) **string { return &p.ClientType }),
	text("client_id", func(p *Provider) **string { return &p.ClientID }),
	text("client_secret", func(p *Provider) **Secret { return &p.ClientSecret }),
	text("access_code_validity", func(p *Provider) **string { return &p.AccessCodeValidity }),
	text("access_token_validity", func(p *Provider) **string { return &p.AccessTokenValidity }),
	text("refresh_token_validity", func(p *Provider) **string { return &p.RefreshTokenValidity }),
	text("refresh_token_threshold", func(p *Provider) **string { return &p.RefreshTokenThreshold }),
	boolean("include_claims_in_id_token", func(p *Provider) **bool { return &p.IncludeClaimsInIDToken }),
	uuid("signing_key", func(p *Provider) **string { return &p.SigningKey }),
	uuid("encryption_key", func(p *Provider) **string { return &p.EncryptionKey }),
	redirectURIs("redirect_uris", func(p *Provider) *[]RedirectURI { return &p.RedirectURIs }),
	text("logout_uri", func(p *Provider) **string { return &p.LogoutURI }).formerly("backchannel_logout_uri"),
	text("logout_method", func(p *Provider) **string { return &p.LogoutMethod }),
	text("sub_mode", func(p *Provider) **string { return &p.SubMode }),
	text("issuer_mode", func(p *Provider) **string { return &p.IssuerMode }),
	uuids("jwt_federation_sources", func(p *Provider) *[]string { return &p.JWTFederationSources }).
		formerly("jwks_sources"),
	integers("jwt_federation_providers", func(p *Provider) *[]int32 { return &p.JWTFederationProviders }),
)

// RedirectURI is one URI a client may be sent back to. MatchingMode is nil for a release that
// sends plain lines.
type RedirectURI struct {
	MatchingMode *string
	URL          *string
}

var redirectURIObject = newObject("provider.redirect_uris", "RedirectURI",
	text("matching_mode", func(u *RedirectURI) **string { return &u.MatchingMode }),
	text("url", func(u *RedirectURI) **string { return &u.URL }),
)

// redirectURIs is the list of newer releases and the text of older ones, whose words are entries
// without a mode.
func redirectURIs[T any](name string, at func(*T) *[]RedirectURI) field[T] {
	f := nestedList(name, at, redirectURIObject)
	decodeList := f.decode
	f.decode = func(d *decoder, path string, t *T) {
		if d.peek() != '"' {
			decodeList(d, path, t)
			return
		}
		all, _ := d.text()
		words := strings.Fields(all)
		uris := make([]RedirectURI, len(words))
		for i := range words {
			uris[i].URL = &words[i]
		}
		*at(t) = uris
	}
	return f
}

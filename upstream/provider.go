package upstream

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Provider is an OAuth2 provider: the client application a grant was issued to.
type Provider struct {
	PK                                 PK            `json:"pk"`
	Name                               *string       `json:"name,omitzero"`
	AuthenticationFlow                 *UUID         `json:"authentication_flow,omitzero"`
	AuthorizationFlow                  *UUID         `json:"authorization_flow,omitzero"`
	InvalidationFlow                   *UUID         `json:"invalidation_flow,omitzero"`
	PropertyMappings                   UUIDs         `json:"property_mappings,omitzero"`
	Component                          *string       `json:"component,omitzero"`
	AssignedApplicationSlug            *string       `json:"assigned_application_slug,omitzero"`
	AssignedApplicationName            *string       `json:"assigned_application_name,omitzero"`
	AssignedBackchannelApplicationSlug *string       `json:"assigned_backchannel_application_slug,omitzero"`
	AssignedBackchannelApplicationName *string       `json:"assigned_backchannel_application_name,omitzero"`
	VerboseName                        *string       `json:"verbose_name,omitzero"`
	VerboseNamePlural                  *string       `json:"verbose_name_plural,omitzero"`
	MetaModelName                      *string       `json:"meta_model_name,omitzero"`
	ClientType                         *string       `json:"client_type,omitzero"`
	ClientID                           *string       `json:"client_id,omitzero"`
	ClientSecret                       *Secret       `json:"client_secret,omitzero"`
	AccessCodeValidity                 *string       `json:"access_code_validity,omitzero"`
	AccessTokenValidity                *string       `json:"access_token_validity,omitzero"`
	RefreshTokenValidity               *string       `json:"refresh_token_validity,omitzero"`
	RefreshTokenThreshold              *string       `json:"refresh_token_threshold,omitzero"`
	IncludeClaimsInIDToken             *bool         `json:"include_claims_in_id_token,omitzero"`
	SigningKey                         *UUID         `json:"signing_key,omitzero"`
	EncryptionKey                      *UUID         `json:"encryption_key,omitzero"`
	RedirectURIs                       []RedirectURI `json:"redirect_uris,omitzero"`
	LogoutURI                          *string       `json:"logout_uri,omitzero"`
	LogoutMethod                       *string       `json:"logout_method,omitzero"`
	SubMode                            *string       `json:"sub_mode,omitzero"`
	IssuerMode                         *string       `json:"issuer_mode,omitzero"`
	JWTFederationSources               UUIDs         `json:"jwt_federation_sources,omitzero"`
	JWTFederationProviders             []int32       `json:"jwt_federation_providers,omitzero"`
}

// sentProvider has what earlier releases called otherwise.
type sentProvider struct {
	plainProvider
	BackchannelLogoutURI *string `json:"backchannel_logout_uri"`
	JWKSSources          UUIDs   `json:"jwks_sources"`
}

// readProvider reads a provider of any release. A present name prevails unless its value is null.
func readProvider(in *jsontext.Decoder) (Provider, bool, error) {
	sent, ok, err := readSentProvider(in)
	if sent.LogoutURI == nil {
		sent.LogoutURI = sent.BackchannelLogoutURI
	}
	if sent.JWTFederationSources == nil {
		sent.JWTFederationSources = sent.JWKSSources
	}
	return Provider(sent.plainProvider), ok, err
}

var readSentProvider = object(func(p *sentProvider) bool { return p.PK != 0 })

// RedirectURI is one URI a client may be sent back to. MatchingMode is nil for a release that
// sends plain lines.
type RedirectURI struct {
	MatchingMode *string `json:"matching_mode,omitzero"`
	URL          *string `json:"url,omitzero"`
}

// readRedirectLines reads the text of older releases, whose words are entries without a mode.
func readRedirectLines(in *jsontext.Decoder, to *[]RedirectURI) error {
	if in.PeekKind() != '"' {
		return errors.ErrUnsupported // the list of newer releases
	}
	raw, err := in.ReadValue()
	words := strings.Fields(unquote(raw))
	*to = make([]RedirectURI, len(words))
	for i := range words {
		(*to)[i].URL = &words[i]
	}
	return err
}

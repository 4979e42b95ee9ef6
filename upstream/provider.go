package upstream

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Provider is an OAuth2 provider: the client application a grant was issued to. From 2025.12.5 and 2026.2.3 on
// the one in a grant is authentik's generic provider, which lacks the OAuth2 settings.
type Provider struct {
	PK                                 PK      `json:"pk"`
	Name                               *string `json:"name,omitzero"`
	AuthenticationFlow                 *UUID   `json:"authentication_flow,omitzero"`
	AuthorizationFlow                  *UUID   `json:"authorization_flow,omitzero"`
	InvalidationFlow                   *UUID   `json:"invalidation_flow,omitzero"`
	PropertyMappings                   UUIDs   `json:"property_mappings,omitzero"`
	Component                          *string `json:"component,omitzero"`
	AssignedApplicationSlug            *string `json:"assigned_application_slug,omitzero"`
	AssignedApplicationName            *string `json:"assigned_application_name,omitzero"`
	AssignedBackchannelApplicationSlug *string `json:"assigned_backchannel_application_slug,omitzero"`
	AssignedBackchannelApplicationName *string `json:"assigned_backchannel_application_name,omitzero"`
	VerboseName                        *string `json:"verbose_name,omitzero"`
	VerboseNamePlural                  *string `json:"verbose_name_plural,omitzero"`
	MetaModelName                      *string `json:"meta_model_name,omitzero"`

	oauth2Settings

	// Partial reports that authentik sent neither client_type nor client_id: it gives the OAuth2 settings at the
	// provider's own endpoint alone.
	Partial bool `json:"_partial,omitzero"`
	// Audience is the client id of a partial provider by the token that names it, in the claim aud.
	Audience *string `json:"_audience,omitzero" schema:"-"`
}

// oauth2Settings are the settings that only OAuth2 providers have. The type has no methods, which would be
// Provider's, and no exported name, because its content would be printed.
type oauth2Settings struct {
	ClientType             *string       `json:"client_type,omitzero"`
	GrantTypes             []string      `json:"grant_types,omitzero"`
	ClientID               *string       `json:"client_id,omitzero"`
	ClientSecret           *Secret       `json:"client_secret,omitzero"`
	AccessCodeValidity     *string       `json:"access_code_validity,omitzero"`
	AccessTokenValidity    *string       `json:"access_token_validity,omitzero"`
	RefreshTokenValidity   *string       `json:"refresh_token_validity,omitzero"`
	RefreshTokenThreshold  *string       `json:"refresh_token_threshold,omitzero"`
	IncludeClaimsInIDToken *bool         `json:"include_claims_in_id_token,omitzero"`
	SigningKey             *UUID         `json:"signing_key,omitzero"`
	EncryptionKey          *UUID         `json:"encryption_key,omitzero"`
	RedirectURIs           []RedirectURI `json:"redirect_uris,omitzero"`
	LogoutURI              *string       `json:"logout_uri,omitzero"`
	LogoutMethod           *string       `json:"logout_method,omitzero"`
	SubMode                *string       `json:"sub_mode,omitzero"`
	IssuerMode             *string       `json:"issuer_mode,omitzero"`
	JWTFederationSources   UUIDs         `json:"jwt_federation_sources,omitzero"`
	JWTFederationProviders []int32       `json:"jwt_federation_providers,omitzero"`
}

// sentProvider has what authentik must send, what tells a partial provider, and what earlier releases called
// otherwise.
type sentProvider struct {
	plainProvider
	PK                   *PK           `json:"pk"`
	ClientType           sent[*string] `json:"client_type"`
	ClientID             sent[*string] `json:"client_id"`
	BackchannelLogoutURI *string       `json:"backchannel_logout_uri"`
	JWKSSources          UUIDs         `json:"jwks_sources"`
}

// sent is a member of an object that may be absent.
type sent[T any] struct {
	value   T
	present bool
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (s *sent[T]) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	s.present = true
	return json.UnmarshalDecode(in, &s.value)
}

// readProvider reads a provider of any release. A present name prevails unless its value is null.
func readProvider(in *jsontext.Decoder) (Provider, bool, error) {
	s, ok, err := readSentProvider(in)
	if !ok {
		return Provider{}, false, err
	}
	p := Provider(s.plainProvider)
	p.PK, p.ClientType, p.ClientID = *s.PK, s.ClientType.value, s.ClientID.value
	p.Partial, p.Audience = !s.ClientType.present && !s.ClientID.present, nil
	if p.LogoutURI == nil {
		p.LogoutURI = s.BackchannelLogoutURI
	}
	if p.JWTFederationSources == nil {
		p.JWTFederationSources = s.JWKSSources
	}
	return p, true, err
}

var readSentProvider = object(func(p *sentProvider) bool { return p.PK != nil })

// RedirectURI is one URI a client may be sent back to. MatchingMode is nil for a release that
// sends plain lines.
type RedirectURI struct {
	MatchingMode *string `json:"matching_mode,omitzero"`
	URL          *string `json:"url,omitzero"`
	// Type is what the URI is for, nil for a release before 2026.5.
	Type *string `json:"redirect_uri_type,omitzero" schema:"type"`
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

// setAudience sets the Audience of a partial provider, if the claims name a single one.
func (p *Provider) setAudience(claims jsontext.Value) {
	if aud := unquote(memberOf(claims, "aud")); p.Partial && aud != "" {
		p.Audience = &aud
	}
}

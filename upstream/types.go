package upstream

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// PK is authentik's primary key of a row: a 32-bit serial, from 1 to 2147483647.
type PK int32

// ErrBadPK says that a text is not a canonical primary key.
var ErrBadPK = errors.New("not a decimal integer from 1 to 2147483647 without sign, space or leading zero")

// ParsePK reads a primary key in its one canonical form. authentik itself takes 01, +1 and other
// spellings for row 1; accepting them would give one row several cache keys.
func ParsePK(s string) (PK, error) {
	if len(s) == 0 || len(s) > 10 || s[0] == '0' {
		return 0, ErrBadPK
	}
	n := int64(0)
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, ErrBadPK
		}
		n = n*10 + int64(c-'0')
	}
	if n > 1<<31-1 {
		return 0, ErrBadPK
	}
	return PK(n), nil
}

// String returns the canonical decimal form.
func (pk PK) String() string { return strconv.FormatInt(int64(pk), 10) }

// Grant is an OAuth2 authorization code, access token or refresh token. A pointer or slice that is nil stands for a value that
// authentik did not send, sent as null, or sent in a form we do not know.
type Grant struct {
	PK       PK
	Provider *Provider
	User     *User
	// Expired is what authentik said, or followed from Expires where it said nothing.
	Expired bool
	// Expires is the end of validity as authentik shows it.
	Expires *time.Time
	// EndsAt is the moment the code stops being alive, zero if it never does. It differs from
	// Expires where Expires had passed before the request was sent and authentik still said
	// "not expired": such a row has authentik's hidden expiring flag off.
	EndsAt time.Time
	Scope  []string
	// Claims are those of the ID token that was issued with a token, nil for a code.
	Claims jsontext.Value
	// Revoked is nil for a code.
	Revoked *bool
}

// ExpiredAt tells whether the code is expired at the given moment.
func (c *Grant) ExpiredAt(now time.Time) bool {
	return c.Expired || !c.EndsAt.IsZero() && !now.Before(c.EndsAt)
}

// Provider is an OAuth2 provider: the client application a code was issued to.
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

// RedirectURI is one URI a client may be sent back to. MatchingMode is nil for a release that
// sends plain lines.
type RedirectURI struct {
	MatchingMode *string
	URL          *string
}

// User is a person or service account: personal data throughout.
type User struct {
	PK                 PK
	Username           *string
	Name               *string
	IsActive           *bool
	LastLogin          *time.Time
	DateJoined         *time.Time
	IsSuperuser        *bool
	GroupIDs           []string
	Groups             []Group
	RoleIDs            []string
	Roles              []Role
	Email              *string
	Avatar             *string
	Attributes         jsontext.Value
	UID                *string
	Path               *string
	Type               *string
	UUID               *string
	PasswordChangeDate *time.Time
	LastUpdated        *time.Time
}

// Group is a group of users; PK is a UUID.
type Group struct {
	PK          string
	NumPK       *int32
	Name        *string
	IsSuperuser *bool
	Parent      *string
	ParentName  *string
	Attributes  jsontext.Value
}

// Role is a named set of permissions; PK is a UUID.
type Role struct {
	PK   string
	Name *string
}

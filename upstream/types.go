package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
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
	Claims json.RawMessage
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
	Attributes         json.RawMessage
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
	Attributes  json.RawMessage
}

// Role is a named set of permissions; PK is a UUID.
type Role struct {
	PK   string
	Name *string
}

// The domain types hold secrets and personal data, so none of them prints or marshals its
// content: a stray log line shows which row it was and no more. [AppendGrant] is the one way out.
// For fmt this ends at unexported fields, whose methods it does not call: there, hold a pointer.

// Secret is a text that no log, error or JSON may show.
type Secret string

const redacted = "[redacted]"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Format prints "[redacted]" under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, redacted) }

// MarshalJSON writes "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

func (c Grant) label() string    { return "grant " + c.PK.String() }
func (p Provider) label() string { return "provider " + p.PK.String() }
func (u User) label() string     { return "user " + u.PK.String() }
func (g Group) label() string    { return "group" }
func (r Role) label() string     { return "role" }

// Format prints the kind and primary key under every verb.
func (c Grant) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, c.label()) }

// Format prints the kind and primary key under every verb.
func (p Provider) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, p.label()) }

// Format prints the kind and primary key under every verb.
func (u User) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, u.label()) }

// Format prints the kind under every verb.
func (g Group) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, g.label()) }

// Format prints the kind under every verb.
func (r Role) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, r.label()) }

// Format prints the kind under every verb.
func (RedirectURI) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "redirect URI") }

// MarshalJSON writes the kind and primary key.
func (c Grant) MarshalJSON() ([]byte, error) { return json.Marshal(c.label()) }

// MarshalJSON writes the kind and primary key.
func (p Provider) MarshalJSON() ([]byte, error) { return json.Marshal(p.label()) }

// MarshalJSON writes the kind and primary key.
func (u User) MarshalJSON() ([]byte, error) { return json.Marshal(u.label()) }

// MarshalJSON writes the kind.
func (g Group) MarshalJSON() ([]byte, error) { return json.Marshal(g.label()) }

// MarshalJSON writes the kind.
func (r Role) MarshalJSON() ([]byte, error) { return json.Marshal(r.label()) }

// MarshalJSON writes the kind.
func (RedirectURI) MarshalJSON() ([]byte, error) { return json.Marshal("redirect URI") }

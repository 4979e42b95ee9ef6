package upstream

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/internal/jsondepth"
)

// Grant is an OAuth2 authorization code, access token or refresh token. A nil pointer or slice stands for
// a value that authentik did not send, sent as null, or sent in an unknown form.
type Grant struct {
	PK       PK        `json:"pk"`
	Provider *Provider `json:"provider,omitzero"`
	User     *User     `json:"user,omitzero"`
	// Expired is what authentik said, or follows from Expires if it said nothing.
	Expired bool `json:"is_expired"`
	// Expires is the end of validity as authentik shows it.
	Expires *time.Time `json:"expires,omitempty"`
	// EndsAt is when the grant stops being alive, zero if it never does. It differs from Expires where
	// Expires had passed before the request was sent and authentik still said "not expired": such a row
	// has authentik's hidden expiring flag off.
	EndsAt time.Time `json:"_ends_at,omitzero"`
	Scope  []string  `json:"scope,omitzero" schema:"-"`
	// Claims are those of the ID token that was issued with a token, nil for a code.
	Claims jsontext.Value `json:"id_token,omitzero" schema:"claims"`
	// Revoked is nil for a code.
	Revoked *bool `json:"revoked,omitzero"`
}

// ExpiredAt reports whether the grant is expired at the given moment.
func (g *Grant) ExpiredAt(now time.Time) bool {
	return g.Expired || !g.EndsAt.IsZero() && !now.Before(g.EndsAt)
}

// maxClaimsDepth is far beyond any claims, and far below the depth at which a stored list could not
// be read again.
const maxClaimsDepth = 64

// sentGrant is a grant as authentik sends it.
type sentGrant struct {
	plainGrant
	PK        *PK            `json:"pk"`
	IsExpired jsontext.Value `json:"is_expired"`
	Expires   jsontext.Value `json:"expires"`
	IDToken   jsontext.Value `json:"id_token"` // JSON within a text
	NotEndsAt jsontext.Value `json:"_ends_at"` // authentik has no such field
}

// grant reads a grant. See [DecodeGrant].
func (d *decoder) grant(body []byte, sent time.Time) (*Grant, error) {
	var s sentGrant
	if err := d.unmarshal(body, &s); err != nil {
		return nil, err
	}
	g := Grant(s.plainGrant)
	if s.PK == nil || *s.PK < 1 || g.Provider == nil || g.User == nil {
		return nil, errors.New("decode: pk, provider or user is missing or has an unexpected form")
	}
	g.PK = *s.PK
	if g.Scope == nil {
		g.Scope = []string{}
	}
	if s.IDToken != nil {
		claims := jsontext.Value(unquote(s.IDToken))
		if claims.Compact() == nil && jsondepth.Of(claims) <= maxClaimsDepth {
			g.Claims = claims
			g.Provider.setAudience(claims)
		} else {
			d.dropped = append(d.dropped, "id_token")
		}
	}
	if err := g.settleExpiry(s, sent); err != nil {
		return nil, err
	}
	return &g, nil
}

// settleExpiry sets Expired, Expires and EndsAt by what authentik sent and when it was asked.
func (g *Grant) settleExpiry(s sentGrant, sent time.Time) error {
	saysExpired := s.IsExpired != nil
	if saysExpired {
		var ok bool
		if g.Expired, ok = boolean(s.IsExpired); !ok {
			return errors.New("decode: is_expired is not a boolean")
		}
	}
	if s.Expires == nil {
		return nil
	}
	expires, ok := moment(s.Expires)
	if !ok {
		return errors.New("decode: expires is not a time")
	}
	g.Expires = &expires
	switch later := expires.After(sent); {
	case later && !g.Expired:
		g.EndsAt = expires.Truncate(time.Microsecond) // as authentik sends it
	case !later && !saysExpired:
		g.Expired = true
	}
	return nil
}

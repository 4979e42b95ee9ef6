package upstream

import (
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/internal/jsondepth"
)

// Grant is an OAuth2 authorization code, access token or refresh token. A nil pointer or slice stands for
// a value that authentik did not send, sent as null, or sent in an unknown form.
type Grant struct {
	PK       PK
	Provider *Provider
	User     *User
	// Expired is what authentik said, or follows from Expires if it said nothing.
	Expired bool
	// Expires is the end of validity as authentik shows it.
	Expires *time.Time
	// EndsAt is when the grant stops being alive, zero if it never does. It differs from Expires where
	// Expires had passed before the request was sent and authentik still said "not expired": such a row
	// has authentik's hidden expiring flag off.
	EndsAt time.Time
	Scope  []string
	// Claims are those of the ID token that was issued with a token, nil for a code.
	Claims jsontext.Value
	// Revoked is nil for a code.
	Revoked *bool
}

// ExpiredAt reports whether the grant is expired at the given moment.
func (g *Grant) ExpiredAt(now time.Time) bool {
	return g.Expired || !g.EndsAt.IsZero() && !now.Before(g.EndsAt)
}

var (
	grantFields = []field[Grant]{
		key(func(g *Grant) *PK { return &g.PK }),
		nested("provider", func(g *Grant) **Provider { return &g.Provider }, providerObject),
		nested("user", func(g *Grant) **User { return &g.User }, userObject),
		isExpired(),
		expires(),
		texts("scope", func(g *Grant) *[]string { return &g.Scope }).neverNull(),
		endsAt(),
	}
	tokenFields = slices.Concat(grantFields, []field[Grant]{
		boolean("revoked", func(g *Grant) **bool { return &g.Revoked }),
		claims(),
	})
	// grantObjects differ in the schema's names and in what a code lacks there.
	grantObjects = map[Resource]*object[Grant]{
		AuthorizationCodes: newObject("", "AuthorizationCode", grantFields...),
		AccessTokens:       newObject("", "AccessToken", tokenFields...),
		RefreshTokens:      newObject("", "RefreshToken", tokenFields...),
	}
	// grantObject has the fields of all three.
	grantObject = grantObjects[AccessTokens]
)

// isExpired is authentik's flag, which may be absent but must be a boolean.
func isExpired() field[Grant] {
	return field[Grant]{
		name: "is_expired",
		decode: func(d *decoder, path string, g *Grant) {
			if d.null() {
				return
			}
			if g.Expired, d.saysExpired = d.boolean(); !d.saysExpired {
				d.refuse(path + " is not a boolean")
			}
		},
		encode: func(w *writer, g *Grant) {
			w.name("is_expired")
			w.b = strconv.AppendBool(w.b, g.Expired)
		},
	}
}

// expires is a time whose unexpected form is an error: it decides until when the grant is shown as alive.
func expires() field[Grant] {
	f := moment("expires", func(g *Grant) **time.Time { return &g.Expires })
	decode := f.decode
	f.decode = func(d *decoder, path string, g *Grant) {
		before := len(d.dropped)
		decode(d, path, g)
		if len(d.dropped) > before {
			d.refuse(path + " is not a time")
		}
	}
	return f
}

// endsAt is stored in microseconds. authentik has no such field.
func endsAt() field[Grant] {
	const name = "_ends_at"
	return field[Grant]{
		name: name,
		decode: func(d *decoder, _ string, g *Grant) {
			us, err := strconv.ParseInt(d.next(), 10, 64)
			if d.stored && err == nil {
				g.EndsAt = time.UnixMicro(us).UTC()
			}
		},
		encode: func(w *writer, g *Grant) {
			if !g.EndsAt.IsZero() {
				w.name(name)
				w.int(g.EndsAt.UnixMicro())
			}
		},
	}
}

// maxClaimsDepth is far beyond any claims, and far below the depth at which a stored list could not
// be read again.
const maxClaimsDepth = 64

// claims are those of an ID token. authentik sends them as JSON within a text; they are stored as JSON.
func claims() field[Grant] {
	f := anyJSON("id_token", func(g *Grant) *jsontext.Value { return &g.Claims }).as("claims")
	decodeStored := f.decode
	f.decode = func(d *decoder, path string, g *Grant) {
		g.Claims = nil
		if d.stored {
			decodeStored(d, path, g)
		} else if !d.null() {
			claims := jsontext.Value(unquote(d.next()))
			if claims.Compact() != nil || jsondepth.Of(claims) > maxClaimsDepth {
				d.drop(path)
				return
			}
			g.Claims = claims
		}
	}
	return f
}

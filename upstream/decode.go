package upstream

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DecodeGrant reads a grant as authentik sends it. An answer without pk, provider.pk or user.pk is an
// error, and so is an is_expired or expires of an unexpected form, though both may be absent. Any
// other field of an unexpected form becomes nil and is named in dropped, such as "user.email". A
// text that is not JSON in UTF-8 is an error.
//
// sent is when the request left: an Expires before it, on a grant that authentik calls alive,
// means that the grant never expires.
func DecodeGrant(body []byte, sent time.Time) (g *Grant, dropped []string, err error) {
	return decode("", func(d *decoder) (*Grant, error) { return d.grant(body, sent) })
}

// The types of this package marshal without their content. These have the same fields, and no methods.
type (
	plainGrant    Grant
	plainProvider Provider
	plainUser     User
	plainGroup    Group
	plainRole     Role
	plainURI      RedirectURI
)

// stored writes and reads values whole.
var stored = json.JoinOptions(asSent, jsontext.PreserveRawStrings(true),
	json.WithMarshalers(json.JoinMarshalers(
		whole(func(g *Grant) *plainGrant { return (*plainGrant)(g) }),
		whole(func(p *Provider) *plainProvider { return (*plainProvider)(p) }),
		whole(func(u *User) *plainUser { return (*plainUser)(u) }),
		whole(func(g *Group) *plainGroup { return (*plainGroup)(g) }),
		whole(func(r *Role) *plainRole { return (*plainRole)(r) }),
		whole(func(u *RedirectURI) *plainURI { return (*plainURI)(u) }),
		whole(func(s *Secret) *string { return (*string)(s) }),
	)))

// whole marshals a value by its plain type.
func whole[T, P any](plain func(*T) *P) *json.Marshalers {
	return json.MarshalToFunc(func(e *jsontext.Encoder, t *T) error { return json.MarshalEncode(e, plain(t)) })
}

// AppendGrant writes a grant for storage, in the names of the newest release. What it appends holds
// everything the grant holds, its secret too: it must be sealed before it leaves the process.
func AppendGrant(b []byte, g *Grant) []byte {
	text, _ := json.Marshal(g, stored) // decoded values have a form in JSON
	return append(b, text...)
}

// RestoreGrant reads what [AppendGrant] wrote.
func RestoreGrant(text string) (*Grant, error) {
	g := new(Grant)
	if err := unmarshal([]byte(text), g, stored); err != nil {
		return nil, err
	}
	if err := g.restore(); err != nil {
		return nil, err
	}
	return g, nil
}

// restore completes a grant that was stored.
func (g *Grant) restore() error {
	if g == nil || g.PK < 1 {
		return errBadPK
	}
	if g.Scope == nil {
		g.Scope = []string{}
	}
	return nil
}

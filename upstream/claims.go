package upstream

import (
	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/internal/jsondepth"
)

// maxClaimsDepth is far beyond any claims, and far below the depth at which a stored list could not
// be read again.
const maxClaimsDepth = 64

// claims reads the claims of an ID token: authentik sends them as JSON within a text.
func (d *decoder) claims() jsontext.Value {
	v := d.next()
	if isNull(v) {
		return nil
	}
	claims := jsontext.Value(unquote(v))
	if claims.Compact() != nil || jsondepth.Of(claims) > maxClaimsDepth {
		d.dropped = append(d.dropped, "id_token")
		return nil
	}
	return claims
}

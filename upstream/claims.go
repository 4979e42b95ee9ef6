package upstream

import (
	"bytes"
	"encoding/json"

	"authentik-graphql/internal/jsondepth"
)

// maxClaimsDepth is far beyond any claims, and far below the depth at which a stored list could not
// be read again.
const maxClaimsDepth = 64

// claims reads the claims of an ID token: authentik sends them as JSON within a text.
func (d *decoder) claims() json.RawMessage {
	var b bytes.Buffer
	v := d.next()
	if isNull(v) {
		return nil
	}
	if !isString(v) || json.Compact(&b, []byte(unquote(v))) != nil || jsondepth.Of(b.Bytes()) > maxClaimsDepth {
		d.dropped = append(d.dropped, "id_token")
		return nil
	}
	return b.Bytes()
}

package upstream

import (
	"bytes"
	"encoding/json"

	"github.com/tidwall/gjson"

	"authentik-graphql/internal/jsondepth"
)

// maxClaimsDepth is far beyond any claims, and far below the depth at which a stored list could not
// be read again.
const maxClaimsDepth = 64

// claims reads the claims of an ID token: authentik sends them as JSON within a text.
func (d *decoder) claims(v gjson.Result) json.RawMessage {
	var b bytes.Buffer
	if v.Type == gjson.Null {
		return nil
	}
	if v.Type != gjson.String || json.Compact(&b, []byte(v.Str)) != nil || jsondepth.Of(b.Bytes()) > maxClaimsDepth {
		d.dropped = append(d.dropped, "id_token")
		return nil
	}
	d.held += max(b.Cap(), tinyBlock)
	return b.Bytes()
}

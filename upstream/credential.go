package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
)

// maxToken bounds a bearer token, in bytes. authentik's own JWTs are below 2,000.
const maxToken = 8192

// Credential is the bearer token that is sent to authentik on a caller's behalf. The zero value
// is no credential. It prints as "[redacted]" everywhere.
type Credential struct {
	token *string // a pointer, because fmt does not call Format in unexported fields of another struct
}

// ParseAuthorization reads the Authorization header of a request. It accepts exactly one header line: the
// scheme Bearer, in any case, one space, and 1 to 8,192 visible ASCII characters. Anything else is the zero
// Credential. authentik reads two spaces as a bad token and fails with 500 on a character outside ASCII.
func ParseAuthorization(h http.Header) Credential {
	lines := h["Authorization"]
	if len(lines) != 1 {
		return Credential{}
	}
	scheme, token, found := strings.Cut(lines[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return Credential{}
	}
	return NewCredential(token)
}

// NewCredential makes a Credential of a bare token, or the zero Credential if the token is not
// 1 to 8,192 visible ASCII characters.
func NewCredential(token string) Credential {
	if token == "" || len(token) > maxToken {
		return Credential{}
	}
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' {
			return Credential{}
		}
	}
	return Credential{token: &token}
}

// IsZero reports whether there is no credential.
func (c Credential) IsZero() bool { return c.token == nil }

func (c Credential) reveal() string {
	if c.token == nil {
		return ""
	}
	return *c.token
}

// Digester makes keyed hashes that stand for credentials in cache keys. A hash does not reveal the token,
// and hashes of installations with different keys cannot be matched.
type Digester struct{ macs sync.Pool }

// NewDigester makes a Digester with a secret key.
func NewDigester(key []byte) *Digester {
	return &Digester{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// Digest is the credential's hash.
func (d *Digester) Digest(c Credential) [sha256.Size]byte {
	mac := d.macs.Get().(hash.Hash)
	defer d.macs.Put(mac)
	mac.Reset()
	_, _ = io.WriteString(mac, c.reveal())
	return [sha256.Size]byte(mac.Sum(nil))
}

// SHA256 is the token's plain hash, by which a list of callers names it without containing it.
func (c Credential) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(c.reveal())) }

// setHeader puts the credential on a request to authentik.
func (c Credential) setHeader(h http.Header) { h["Authorization"] = []string{"Bearer " + c.reveal()} }

package cache

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// SecretSize is the length of the secret that all keys are derived from, in bytes.
const SecretSize = 32

// Caller stands for the credential that goes upstream: a keyed digest of it.
type Caller [sha256.Size]byte

// Key names a value as one caller sees it. It can only be made by [NewKey].
type Key struct {
	caller   Caller
	resource string
	id       int32
	variant  string
}

// ErrBadKey says that a key lacks a caller, a resource or an id.
var ErrBadKey = errors.New("cache: a key needs a caller, a resource and an id")

// NewKey makes the key of one row. The id is canonical by its type. variant names everything else
// that shapes the value, such as what is redacted from it; two processes with different settings
// then share nothing.
func NewKey(caller Caller, resource string, id int32, variant string) (Key, error) {
	if caller == (Caller{}) || resource == "" || id < 1 {
		return Key{}, ErrBadKey
	}
	return Key{caller: caller, resource: resource, id: id, variant: variant}, nil
}

// Format prints the resource and id, not the caller.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%s/%d", k.resource, k.id) }

// Keys holds what is derived from the secret. It prints as "[redacted]".
type Keys struct {
	caller, names, seal []byte
}

// NewSecret makes a random secret.
func NewSecret() []byte {
	secret := make([]byte, SecretSize)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	return secret
}

// DeriveKeys derives the keys from a secret of [SecretSize] bytes by HKDF-SHA-256. Another secret
// gives other names and other seals: simply an empty cache.
func DeriveKeys(secret []byte) (*Keys, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("cache: the secret has %d bytes, not %d", len(secret), SecretSize)
	}
	k := &Keys{}
	for info, key := range map[string]*[]byte{
		"authentik-graphql caller digest": &k.caller,
		"authentik-graphql redis names":   &k.names,
		"authentik-graphql seal":          &k.seal,
	} {
		derived, err := hkdf.Key(sha256.New, secret, nil, info, SecretSize)
		if err != nil {
			return nil, fmt.Errorf("cache: derive keys: %w", err)
		}
		*key = derived
	}
	return k, nil
}

// CallerKey is the key under which a credential is digested into a [Caller].
func (k *Keys) CallerKey() []byte { return k.caller }

// Format prints "[redacted]" under every verb.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[redacted]") }

// MarshalJSON writes "[redacted]".
func (k Keys) MarshalJSON() ([]byte, error) { return json.Marshal("[redacted]") }

// redisName is `<prefix>{T}<kind><D>`. T depends on the row alone and is a hash tag: all names of
// one row, whoever the caller and whatever the format, live in one cluster slot and can be
// invalidated together. D depends on the row, the caller, the variant and the format.
func (k *Keys) redisName(prefix, kind string, key Key) string {
	tag := k.mac("row", nil, key.resource, key.id, "")
	full := k.mac("value "+string([]byte{formatVersion}), key.caller[:], key.resource, key.id, key.variant)
	enc := base64.RawURLEncoding
	return prefix + "{" + enc.EncodeToString(tag[:16]) + "}" + kind + enc.EncodeToString(full)
}

// mac hashes its parts, each with its length, so that no two lists of parts collide.
func (k *Keys) mac(purpose string, caller []byte, resource string, id int32, variant string) []byte {
	mac := hmac.New(sha256.New, k.names)
	b := make([]byte, 0, 256)
	for _, part := range []string{purpose, string(caller), resource, variant} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	_, _ = mac.Write(b)
	return mac.Sum(nil)
}

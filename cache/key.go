package cache

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// SecretSize is the length of the secret that all keys are derived from, in bytes.
const SecretSize = 32

// Caller stands for the credential that goes upstream: a keyed digest of it.
type Caller [sha256.Size]byte

// ResourceID names what all callers' keys of one value have in common.
type ResourceID struct {
	resource string
	id       int32
}

// NewResourceID makes the id of a resource. The id is canonical by its type.
func NewResourceID(resource string, id int32) (ResourceID, error) {
	if resource == "" || id < 1 {
		return ResourceID{}, ErrBadKey
	}
	return ResourceID{resource: resource, id: id}, nil
}

// ListsOf stands for all lists of a resource's rows.
func ListsOf(resource string) ResourceID { return ResourceID{resource: resource} }

// Resource is what the row is one of.
func (r ResourceID) Resource() string { return r.resource }

// Format prints the resource and id.
func (r ResourceID) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%s/%d", r.resource, r.id) }

// Key names a value as one caller sees it. It can only be made by [NewKey].
type Key struct {
	caller  Caller
	id      ResourceID
	variant string
	// failure makes it the name of the caller's last failed load of the row.
	failure bool
}

// ErrBadKey says that a key lacks a caller, a resource or an id.
var ErrBadKey = errors.New("cache: a key needs a caller, a resource and an id")

// NewKey makes the key of one row. variant names everything else that shapes the value, such as
// what is redacted from it; two processes with different settings then share nothing.
func NewKey(caller Caller, resource string, id int32, variant string) (Key, error) {
	row, err := NewResourceID(resource, id)
	if err != nil || caller == (Caller{}) {
		return Key{}, ErrBadKey
	}
	return Key{caller: caller, id: row, variant: variant}, nil
}

// ResourceID is the resource that the key shows to its caller.
func (k Key) ResourceID() ResourceID { return k.id }

// Format prints the resource and id, not the caller.
func (k Key) Format(f fmt.State, verb rune) { k.id.Format(f, verb) }

func (k Key) isList() bool { return k.id.id == 0 }

// ofFailure is the key under which the memory keeps a failed load of k.
func (k Key) ofFailure() Key {
	k.failure = true
	return k
}

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

// MarshalText writes "[redacted]", in JSON as well.
func (k Keys) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// redisKeys are the names that one key has in Redis, each `<prefix>{T}<kind><D>`. T depends on the row
// alone and is a hash tag: all names of one row, whoever the caller and whatever the format, live in
// one cluster slot and are invalidated together. D depends on the row, the caller, the variant and
// the format; a tombstone has none, for it is the row's.
type redisKeys struct {
	entry, failure, lease, tombstone string
	// mac is what a tombstone of the row holds.
	mac string
}

func (k *Keys) redisKeys(prefix string, key Key) redisKeys {
	tag := k.ResourceHash(key.id)
	slot := slotOf(prefix, tag)
	sum := k.mac("value "+string([]byte{formatVersion}), key.caller[:], key.id, key.variant)
	d := encode(sum[:])
	all := slot + "v" + d + slot + "e" + d + slot + "l" + d + slot + "x" // as one text, of which each is a part
	n := len(slot) + 1 + len(d)
	return redisKeys{entry: all[:n], failure: all[n : 2*n], lease: all[2*n : 3*n], tombstone: all[3*n:], mac: k.tombstoneMAC(tag)}
}

// listVersionName is the name of the version of a resource's lists.
func (k *Keys) listVersionName(prefix, resource string) string {
	return slotOf(prefix, k.ResourceHash(ListsOf(resource))) + "g"
}

func slotOf(prefix string, tag ResourceHash) string { return prefix + "{" + encode(tag[:]) + "}" }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ResourceHash stands for a row where others can read it.
type ResourceHash [16]byte

// ResourceHash makes the tag of a row.
func (k *Keys) ResourceHash(row ResourceID) ResourceHash {
	sum := k.mac("row", nil, row, "")
	return ResourceHash(sum[:16])
}

// tombstoneMAC is the content of a tombstone and of the message that tells of it. Only who has the
// secret can make one: a foreign value under a tombstone's name revokes nothing.
func (k *Keys) tombstoneMAC(t ResourceHash) string {
	sum := k.sum(append([]byte("tombstone"), t[:]...))
	return encode(sum[:16])
}

// message tells other processes that a row is revoked.
func (k *Keys) message(t ResourceHash) string { return encode(t[:]) + k.tombstoneMAC(t) }

// readMessage reverses message; ok is false for anything else.
func (k *Keys) readMessage(s string) (t ResourceHash, ok bool) {
	n := base64.RawURLEncoding.EncodedLen(len(t))
	if len(s) < n {
		return ResourceHash{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s[:n]) // one spelling a tag
	if err != nil || len(b) != len(t) {
		return ResourceHash{}, false
	}
	t = ResourceHash(b)
	return t, hmac.Equal([]byte(k.tombstoneMAC(t)), []byte(s[n:]))
}

// mac hashes its parts, each with its length, so that no two lists of parts collide.
func (k *Keys) mac(purpose string, caller []byte, row ResourceID, variant string) [sha256.Size]byte {
	b := make([]byte, 0, 256)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(purpose))), purpose...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(caller))), caller...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(row.resource))), row.resource...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(variant))), variant...)
	return k.sum(binary.BigEndian.AppendUint32(b, uint32(row.id)))
}

// sum is the MAC of a message under the key for names.
func (k *Keys) sum(message []byte) [sha256.Size]byte {
	h := hmac.New(sha256.New, k.names)
	_, _ = h.Write(message)
	return [sha256.Size]byte(h.Sum(nil))
}

package cache

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
)

// SecretSize is the size in bytes of the secret that all keys are derived from.
const SecretSize = 32

// Keys are derived from the secret. They print as "[redacted]".
type Keys struct {
	caller, names []byte
	sealKey
	// macs are keyed with names, because that costs more than a MAC.
	macs *sync.Pool
}

// NewSecret makes a random secret.
func NewSecret() []byte {
	secret := make([]byte, SecretSize)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	return secret
}

// DeriveKeys derives the keys from a secret of [SecretSize] bytes by HKDF-SHA-256. Another secret gives other
// names and other seals, and so an empty cache.
func DeriveKeys(secret []byte) (*Keys, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("cache: the secret has %d bytes, not %d", len(secret), SecretSize)
	}
	derive := func(info string) []byte {
		key, _ := hkdf.Key(sha256.New, secret, nil, info, SecretSize) // fails only for a size over 255 hashes
		return key
	}
	k := &Keys{
		caller:  derive("authentik-graphql caller digest"),
		names:   derive("authentik-graphql redis names"),
		sealKey: derive("authentik-graphql seal"),
	}
	k.macs = &sync.Pool{New: func() any { return hmac.New(sha256.New, k.names) }}
	return k, nil
}

// CallerKey returns the key under which a credential is digested into a [Caller].
func (k *Keys) CallerKey() []byte { return k.caller }

// Format prints "[redacted]" under every verb.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[redacted]") }

// MarshalText returns "[redacted]", for JSON as well.
func (k Keys) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// redisKeys are the names that a key has in Redis, each of the form <prefix>{H}<kind><D>. H is the resource's
// hash and a hash tag, so that all names of a resource are in one slot of a cluster, whatever the caller and
// the format. D depends on the caller, the variant and the format as well. A tombstone has no D: it is the
// resource's.
type redisKeys struct {
	entry, failure, lease, tombstone string
	// mac is the content of a genuine tombstone: the part of the resource's MAC that is not its hash. Only a
	// process with the secret can make it, so that a foreign value under a tombstone's name revokes nothing.
	mac string
}

func (k *Keys) redisKeys(prefix string, key Key) redisKeys {
	resource := k.sum("resource", key.id.resource, key.id.packed())
	slot := slotOf(prefix, ResourceHash(resource[:16]))
	value := k.sum("value", format, string(key.caller[:]), key.id.resource, key.id.packed(), key.variant, key.listVersion)
	d := encode(value)
	return redisKeys{
		entry: slot + "v" + d, failure: slot + "e" + d, lease: slot + "l" + d, tombstone: slot + "x",
		mac: encode(resource[16:]),
	}
}

func (n redisKeys) all() []string { return []string{n.entry, n.failure, n.tombstone, n.lease} }

// listVersionKey returns the name of the version of a resource's lists.
func (k *Keys) listVersionKey(prefix, resource string) string {
	return slotOf(prefix, k.ResourceHash(ResourceID{resource: resource})) + "g"
}

func slotOf(prefix string, hash ResourceHash) string { return prefix + "{" + encode(hash[:]) + "}" }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ResourceHash stands for a resource where others can read it.
type ResourceHash [16]byte

// ResourceHash returns the hash of a resource.
func (k *Keys) ResourceHash(id ResourceID) ResourceHash {
	return ResourceHash(k.sum("resource", id.resource, id.packed())[:16])
}

// notification returns the message that notifies processes of a revocation: the hash and its MAC.
func (k *Keys) notification(hash ResourceHash) string {
	return encode(hash[:]) + encode(k.sum("notification", string(hash[:]))[:16])
}

// readNotification reverses notification. ok is false for anything that no process with the secret made.
func (k *Keys) readNotification(message string) (hash ResourceHash, ok bool) {
	n := base64.RawURLEncoding.EncodedLen(len(hash))
	if len(message) < n {
		return ResourceHash{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(message[:n])
	if err != nil || len(b) != len(hash) {
		return ResourceHash{}, false
	}
	hash = ResourceHash(b)
	return hash, hmac.Equal([]byte(k.notification(hash)), []byte(message))
}

// sum returns the MAC of its parts. Each is hashed with its length, so that no two lists of parts collide.
func (k *Keys) sum(parts ...string) []byte {
	message := make([]byte, 0, 256)
	for _, part := range parts {
		message = append(binary.BigEndian.AppendUint32(message, uint32(len(part))), part...)
	}
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	_, _ = mac.Write(message)
	return mac.Sum(nil)
}

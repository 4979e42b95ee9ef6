package upstream

import (
	"bytes"
	"log/slog"
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Key is a key of an object in authentik's answers. Both parts match [a-z0-9_]{1,64}.
type Key struct {
	Object string // grant, provider, redirect_uri, user, group or role
	Field  string // authentik's name, or "other" for unknown keys beyond the first ones
}

const (
	// maxUnknownKeys bounds how many different unknown keys are counted by name, because a metric has a series
	// for each and the log a line.
	maxUnknownKeys = 32
	maxKeyLength   = 64
	otherKey       = "other"
)

// Keys are the known keys of a kind of object in authentik's answers: those for which a type has fields.
type Keys struct {
	name  string // "" for one whose keys are not counted, such as a page
	keys  map[string]knownKey
	names []string // of the keys, by their places
	// required are the keys that are missed. Of those that are in together too, none is missed if the object has
	// none of them: it is then of a kind that does not have them.
	required, together keySet
}

type knownKey struct {
	place int
	below *Keys // in the key's value, or in its list; nil for a value whose keys are not counted
}

// keySet is a set of an object's known keys, by their places.
type keySet uint64

func newKeys[T any](name string, below map[string]*Keys, together ...string) *Keys {
	k := &Keys{name: name, keys: map[string]knownKey{}}
	for _, key := range keysOf(reflect.TypeFor[T]()) {
		if _, again := k.keys[key]; again { // of a field that hides another
			continue
		}
		place := len(k.names)
		k.keys[key], k.names = knownKey{place, below[key]}, append(k.names, key)
		if !earlierNames[Key{name, key}] {
			k.required |= 1 << place
		}
		if slices.Contains(together, key) {
			k.together |= 1 << place
		}
	}
	if len(k.names) > 64 {
		panic("upstream: a keySet holds 64 keys")
	}
	return k
}

// keysOf are the keys for which a type has fields. Those that begin with an underscore are this package's own.
func keysOf(t reflect.Type) (keys []string) {
	for _, f := range reflect.VisibleFields(t) {
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "" && key[0] != '_' {
			keys = append(keys, key)
		}
	}
	return keys
}

// earlierNames are keys of earlier releases, which are known and not missed.
var earlierNames = map[Key]bool{{"provider", "backchannel_logout_uri"}: true, {"provider", "jwks_sources"}: true}

// What the client's answers are made of.
var (
	userKeys = newKeys[User]("user", map[string]*Keys{
		"groups_obj": newKeys[Group]("group", nil), "roles_obj": newKeys[Role]("role", nil),
	})
	redirectURIs   = map[string]*Keys{"redirect_uris": newKeys[RedirectURI]("redirect_uri", nil)}
	providerKeys   = newKeys[sentProvider]("provider", redirectURIs)
	nestedProvider = newKeys[sentProvider]("provider", redirectURIs, keysOf(reflect.TypeFor[oauth2Settings]())...)
	grantBelow     = map[string]*Keys{"provider": nestedProvider, "user": userKeys}
	tokenKeys      = newKeys[Grant]("grant", grantBelow)
	codeKeys       = newKeys[Grant]("grant", grantBelow, "id_token", "revoked")
)

// grantKeys are the keys of a grant.
func grantKeys(resource Resource) *Keys {
	if resource == AuthorizationCodes {
		return codeKeys
	}
	return tokenKeys
}

// pageOf is a page of objects.
func pageOf(k *Keys) *Keys { return &Keys{keys: map[string]knownKey{"results": {below: k}}} }

// keyCounts counts keys in a client's answers.
type keyCounts struct {
	log             *slog.Logger
	mu              sync.Mutex
	absent, unknown map[Key]int64
}

func newKeyCounts(log *slog.Logger) *keyCounts {
	return &keyCounts{log: log, absent: map[Key]int64{}, unknown: map[Key]int64{}}
}

// count counts the keys of an answer, as far as it is JSON. It reads the answer a second time, which takes a tenth
// of the time that decoding takes, and keeps decoding simple.
func (c *keyCounts) count(k *Keys, body []byte) {
	if k != nil {
		_ = c.read(jsontext.NewDecoder(bytes.NewBuffer(body), asSent), k)
	}
}

// read reads a value: an object, a list of objects, or something else.
func (c *keyCounts) read(in *jsontext.Decoder, k *Keys) error {
	kind := in.PeekKind()
	switch {
	case kind == '{' && k != nil:
		return c.readObject(in, k)
	case kind != '[' || k == nil:
		return in.SkipValue()
	}
	_, err := in.ReadToken()
	for err == nil && in.PeekKind() != ']' {
		err = c.read(in, k)
	}
	if err == nil {
		_, err = in.ReadToken()
	}
	return err
}

func (c *keyCounts) readObject(in *jsontext.Decoder, k *Keys) error {
	_, err := in.ReadToken()
	seen := keySet(0)
	for err == nil && in.PeekKind() != '}' {
		var name jsontext.Value
		if name, err = in.ReadValue(); err != nil {
			return err
		}
		key, known := k.keys[unquote(name)]
		if known {
			seen |= 1 << key.place
		} else if k.name != "" {
			c.addUnknown(Key{k.name, unquote(name)})
		}
		err = c.read(in, key.below)
	}
	if err == nil {
		_, err = in.ReadToken()
	}
	if err != nil {
		return err
	}
	absent := k.required &^ seen
	if seen&k.together == 0 {
		absent &^= k.together
	}
	if absent != 0 {
		c.addAbsent(k, absent)
	}
	return nil
}

func (c *keyCounts) addAbsent(k *Keys, absent keySet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; absent != 0; absent &= absent - 1 {
		c.absent[Key{k.name, k.names[bits.TrailingZeros64(uint64(absent))]}]++
	}
}

// addUnknown counts an unknown key, and logs it once: a new release is noticed but does not fill the log.
func (c *keyCounts) addUnknown(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, counted := c.unknown[key]; !counted {
		if len(c.unknown) >= maxUnknownKeys || !isKey(key.Field) {
			key.Field = otherKey
		} else {
			c.log.Info("authentik sends a key that this service does not know; it may be of a newer release",
				"object", key.Object, "field", key.Field)
		}
	}
	c.unknown[key]++
}

func isKey(s string) bool {
	return s != "" && len(s) <= maxKeyLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// all returns a copy of the counts.
func (c *keyCounts) all() (absent, unknown map[Key]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.absent), maps.Clone(c.unknown)
}

// Keys returns how often known keys were absent from authentik's answers, and unknown ones present. Keys that were
// never counted are left out. A code need not have what only tokens have, nor a grant's provider the OAuth2
// settings, as these are absent from newer releases. Nothing is counted within attributes or claims, or within the
// value of an unknown key.
func (c *Client) Keys() (absent, unknown map[Key]int64) { return c.keys.all() }

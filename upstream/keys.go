package upstream

import (
	"fmt"
	"log/slog"
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json"
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

// keySet is a set of the known keys of an object, by their places.
type keySet uint64

const maxKnownKeys = 64

// knownKeys are the keys for which T has fields, by their json tags. A field with a tag "now" has an earlier name
// of another key. The field Unknown of T takes the members that no other field is for.
type knownKeys[T any] struct {
	object  int
	keys    []knownKey
	holders []holder
	unknown int // index of Unknown
	// blank has a mark in each field that can be nil, which stays there if the key is absent. The decoder replaces
	// it, as no value may be read into a mark, which all objects share: TestEveryFieldIsRead finds a type of
	// field that the decoder does not know.
	blank T
}

// knownKey is a key whose field can be nil.
type knownKey struct {
	name    string
	index   int // in the struct that has the field
	mark    uintptr
	earlier bool // an earlier name, which is not missed
}

// holder is a struct within T that has the fields of some keys, which follow one another.
type holder struct {
	path        []int
	first, past int
}

// The objects whose keys are counted. Objects of free form, such as a user's attributes, are not among them.
var (
	grantKeys       = keysOf[sentGrant](0)
	providerKeys    = keysOf[sentProvider](1)
	redirectURIKeys = keysOf[sentURI](2)
	userKeys        = keysOf[sentUser](3)
	groupKeys       = keysOf[sentGroup](4)
	roleKeys        = keysOf[sentRole](5)

	keyedObjects = [...]struct {
		name string
		keys []knownKey
	}{
		{"grant", grantKeys.keys},
		{"provider", providerKeys.keys},
		{"redirect_uri", redirectURIKeys.keys},
		{"user", userKeys.keys},
		{"group", groupKeys.keys},
		{"role", roleKeys.keys},
	}
)

// keysOf finds the known keys of a type. A key with an underscore in front is this package's own.
func keysOf[T any](object int) *knownKeys[T] {
	k := &knownKeys[T]{object: object}
	fields := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name := jsonName(f)
		if shallower, ok := fields[name]; f.Anonymous || ok && len(shallower.Index) < len(f.Index) {
			continue // as for the json package
		}
		fields[name] = f
	}
	k.unknown = fields[""].Index[0]
	for _, name := range slices.SortedFunc(maps.Keys(fields), func(a, b string) int { return slices.Compare(fields[a].Index, fields[b].Index) }) {
		f := fields[name]
		field := reflect.ValueOf(&k.blank).Elem().FieldByIndex(f.Index)
		switch kind := f.Type.Kind(); {
		case name == "" || name[0] == '_':
			continue
		case kind == reflect.Pointer:
			field.Set(reflect.New(f.Type.Elem()))
		case kind == reflect.Slice:
			field.Set(reflect.MakeSlice(f.Type, 0, 1))
		default: // as the pk of a group, without which its list is dropped
			continue
		}
		last := len(f.Index) - 1
		if n := len(k.holders); n == 0 || !slices.Equal(k.holders[n-1].path, f.Index[:last]) {
			k.holders = append(k.holders, holder{path: f.Index[:last], first: len(k.keys)})
		}
		k.keys = append(k.keys, knownKey{name, f.Index[last], field.Pointer(), f.Tag.Get("now") != ""})
		k.holders[len(k.holders)-1].past = len(k.keys)
	}
	if len(k.keys) > maxKnownKeys {
		panic(fmt.Sprintf("upstream: a keySet cannot hold %d keys", len(k.keys)))
	}
	return k
}

// jsonName is a field's name in JSON.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// set is the set of these keys.
func (k *knownKeys[T]) set(names ...string) (s keySet) {
	for place, key := range k.keys {
		if slices.Contains(names, key.name) {
			s |= 1 << place
		}
	}
	return s
}

// setOf is the set of the keys of a struct.
func (k *knownKeys[T]) setOf(t reflect.Type) (s keySet) {
	for f := range t.Fields() {
		s |= k.set(jsonName(f))
	}
	return s
}

// read reads an object and reports which known keys are absent. It skips what is no object and returns nil.
func (k *knownKeys[T]) read(d *decoder, in *jsontext.Decoder) (t *T, absent keySet, err error) {
	if in.PeekKind() != '{' {
		return nil, 0, in.SkipValue()
	}
	t = new(T)
	*t = k.blank
	err = json.UnmarshalDecode(in, t)
	return t, k.take(d, t), err
}

// take removes the marks of the keys that are absent, and what was unknown.
func (k *knownKeys[T]) take(d *decoder, t *T) (absent keySet) {
	v := reflect.ValueOf(t).Elem()
	for _, h := range k.holders {
		fields := v.FieldByIndex(h.path)
		for place := h.first; place < h.past; place++ {
			key := &k.keys[place]
			if f := fields.Field(key.index); f.Pointer() == key.mark {
				f.SetZero()
				if !key.earlier {
					absent |= 1 << place
				}
			}
		}
	}
	if unknown := v.Field(k.unknown); unknown.Len() > 0 {
		d.counts.addUnknown(k.object, unknown.Bytes())
		unknown.SetZero()
	}
	return absent
}

// keyCounts counts keys in a client's answers. A nil one counts nothing.
type keyCounts struct {
	log     *slog.Logger
	absent  [len(keyedObjects)][maxKnownKeys]atomic.Int64
	mu      sync.Mutex
	unknown map[Key]int64
}

// addAbsent counts known keys that an object lacks.
func (c *keyCounts) addAbsent(object int, absent keySet) {
	if c == nil {
		return
	}
	for ; absent != 0; absent &= absent - 1 {
		c.absent[object][bits.TrailingZeros64(uint64(absent))].Add(1)
	}
}

// addUnknown counts the names of unknown members, and logs each once: a new release is noticed but does not fill
// the log.
func (c *keyCounts) addUnknown(object int, unknown jsontext.Value) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range members(unknown) {
		key := Key{keyedObjects[object].name, name}
		if _, known := c.unknown[key]; !known {
			if len(c.unknown) >= maxUnknownKeys || !isKey(name) {
				key.Field = otherKey
			} else {
				c.log.Info("authentik sends a key that this service does not know; it may be of a newer release",
					"object", key.Object, "field", key.Field)
			}
		}
		c.unknown[key]++
	}
}

func isKey(s string) bool {
	return s != "" && len(s) <= maxKeyLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// all returns a copy of the counts.
func (c *keyCounts) all() (absent, unknown map[Key]int64) {
	absent = map[Key]int64{}
	for object, o := range keyedObjects {
		for place, key := range o.keys {
			if n := c.absent[object][place].Load(); n > 0 {
				absent[Key{o.name, key.name}] = n
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return absent, maps.Clone(c.unknown)
}

// Keys returns how often known keys were absent from authentik's answers, and unknown ones present. Keys that were
// never counted are left out. A code need not have what only tokens have, nor a grant's provider the OAuth2
// settings, as these are absent from newer releases. Nothing is counted within attributes or claims, or within the
// value of an unknown key.
func (c *Client) Keys() (absent, unknown map[Key]int64) { return c.keys.all() }

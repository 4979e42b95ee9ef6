package upstream

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// decoder reads an answer into a struct by its json tags. A pointer or list whose value has an unexpected
// form stays nil.
type decoder struct {
	root    string   // begins the names of dropped fields
	dropped []string // fields of an unexpected form, as user.email: constant texts, for the log and metrics
	options json.Options
}

func newDecoder() *decoder {
	d := new(decoder)
	d.options = json.JoinOptions(asSent, json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFunc(readUUID),
		json.UnmarshalFunc(readJSON),
		optional(d, scalar(text[string])),
		optional(d, scalar(text[Secret])),
		optional(d, scalar(uuid[UUID])),
		optional(d, scalar(boolean)),
		optional(d, scalar(moment)),
		optional(d, scalar(integer)),
		optional(d, scalar(primaryKey)),
		optional(d, readProvider),
		optional(d, readUser),
		list[[]string](d, scalar(text[string])),
		list[UUIDs](d, scalar(uuid[string])),
		list[[]int32](d, scalar(integer)),
		list[[]Group](d, object(func(g *Group) bool { return g.PK != "" })),
		list[[]Role](d, object(func(r *Role) bool { return r.PK != "" })),
		json.UnmarshalFromFunc(readRedirectLines),
		list[[]RedirectURI](d, object(func(*RedirectURI) bool { return true })),
	)))
	return d
}

// decoders are kept, because making one takes longer than a grant.
var decoders = sync.Pool{New: func() any { return newDecoder() }}

// decode reads an answer by the function.
func decode[T any](root string, read func(d *decoder) (T, error)) (t T, dropped []string, err error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.root, d.dropped = root, nil
	t, err = read(d)
	return t, d.dropped, err
}

// unmarshal reads an object.
func (d *decoder) unmarshal(text []byte, to any) error { return unmarshal(text, to, d.options) }

// drop notes that the value just read has an unexpected form.
func (d *decoder) drop(in *jsontext.Decoder) {
	path := d.root
	for name := range in.StackPointer().Tokens() {
		if _, err := strconv.Atoi(name); err != nil { // not the place in a list
			path += "." + name
		}
	}
	d.dropped = append(d.dropped, strings.TrimPrefix(path, "."))
}

// read reads a value other than null, whatever its form, and reports whether that is the expected one.
type read[V any] func(in *jsontext.Decoder) (v V, ok bool, err error)

// scalar reads a value by its text.
func scalar[V any](parse func(jsontext.Value) (V, bool)) read[V] {
	return func(in *jsontext.Decoder) (v V, ok bool, err error) {
		raw, err := in.ReadValue()
		if err == nil {
			v, ok = parse(raw)
		}
		return v, ok, err
	}
}

// object reads a struct, which has an unexpected form if it is not complete.
func object[T any](complete func(*T) bool) read[T] {
	return func(in *jsontext.Decoder) (t T, ok bool, err error) {
		if in.PeekKind() != '{' {
			return t, false, in.SkipValue()
		}
		err = json.UnmarshalDecode(in, &t)
		return t, complete(&t), err
	}
}

// optional reads a value that may be null. Of a repeated name the last counts.
func optional[V any](d *decoder, read read[V]) *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(in *jsontext.Decoder, to **V) error {
		*to = nil
		if in.PeekKind() == 'n' {
			return in.SkipValue()
		}
		v, ok, err := read(in)
		if ok {
			*to = &v
		} else {
			d.drop(in)
		}
		return err
	})
}

// list reads a list that may be null. One element of another form drops the whole list: a shorter list would
// be wrong.
func list[L ~[]E, E any](d *decoder, read read[E]) *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(in *jsontext.Decoder, to *L) error {
		*to = nil
		kind := in.PeekKind()
		if kind == 'n' {
			return in.SkipValue()
		}
		if kind != '[' {
			err := in.SkipValue()
			d.drop(in)
			return err
		}
		_, err := in.ReadToken()
		items, usable := L{}, true
		for err == nil && in.PeekKind() != ']' {
			if !usable { // which the rest of a list does not change, however long it is
				err = in.SkipValue()
				continue
			}
			var item E
			if item, usable, err = read(in); usable {
				items = append(items, item)
			}
		}
		if err == nil {
			_, err = in.ReadToken()
		}
		if usable {
			*to = items
		} else {
			d.drop(in)
		}
		return err
	})
}

func text[S ~string](v jsontext.Value) (S, bool) { return S(unquote(v)), v.Kind() == '"' }

func boolean(v jsontext.Value) (b, ok bool) {
	return v.Kind() == 't', v.Kind() == 't' || v.Kind() == 'f'
}

func uuid[S ~string](v jsontext.Value) (S, bool) {
	s := strings.ToLower(unquote(v))
	if len(s) != 36 {
		return "", false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return "", false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return "", false
			}
		}
	}
	return S(s), true
}

func moment(v jsontext.Value) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, unquote(v))
	t = t.UTC() // whose year may be another, which cannot be written
	return t, err == nil && t.Year() >= 0 && t.Year() <= 9999
}

// integer reads 17 and 17.0: authentik documents some of its integers as numbers.
func integer(v jsontext.Value) (int32, bool) {
	n, err := strconv.ParseInt(strings.TrimSuffix(string(v), ".0"), 10, 32)
	return int32(n), err == nil
}

func primaryKey(v jsontext.Value) (PK, bool) {
	n, ok := integer(v)
	return PK(n), ok
}

// readUUID reads the primary key of an element, without which its list is dropped.
func readUUID(v []byte, id *UUID) error {
	*id, _ = uuid[UUID](v)
	return nil
}

// readJSON keeps a value of any form, without blanks.
func readJSON(v []byte, to *jsontext.Value) error {
	*to = nil
	if kept := jsontext.Value(v).Clone(); kept.Kind() != 'n' {
		_ = kept.Compact() // it was read as JSON
		*to = kept
	}
	return nil
}

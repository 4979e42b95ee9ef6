package upstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// These make the fields of the tables, by the form of their values.

func text[T any, S ~string](name string, at func(*T) **S) field[T] {
	return optional(name, at, kind[S]{
		read:  func(d *decoder) (S, bool) { s, ok := d.text(); return S(s), ok },
		write: func(w *writer, s *S) { w.quote(string(*s)) },
	})
}

func uuid[T any](name string, at func(*T) **string) field[T]      { return optional(name, at, aUUID) }
func boolean[T any](name string, at func(*T) **bool) field[T]     { return optional(name, at, aBoolean) }
func moment[T any](name string, at func(*T) **time.Time) field[T] { return optional(name, at, aMoment) }
func integer[T any](name string, at func(*T) **int32) field[T]    { return optional(name, at, anInteger) }
func texts[T any](name string, at func(*T) *[]string) field[T]    { return list(name, at, aText) }
func uuids[T any](name string, at func(*T) *[]string) field[T]    { return list(name, at, aUUID) }
func integers[T any](name string, at func(*T) *[]int32) field[T]  { return list(name, at, anInteger) }

var (
	aText     = kind[string]{(*decoder).text, func(w *writer, s *string) { w.quote(*s) }}
	aUUID     = kind[string]{(*decoder).uuid, func(w *writer, s *string) { w.quote(*s) }}
	aBoolean  = kind[bool]{(*decoder).boolean, func(w *writer, v *bool) { w.b = strconv.AppendBool(w.b, *v) }}
	aMoment   = kind[time.Time]{(*decoder).moment, (*writer).moment}
	anInteger = kind[int32]{(*decoder).integer, func(w *writer, n *int32) { w.int(int64(*n)) }}
)

// anyJSON is a value of any form, which is kept as authentik sent it.
func anyJSON[T any](name string, at func(*T) *jsontext.Value) field[T] {
	return field[T]{
		name: name,
		decode: func(d *decoder, _ string, t *T) {
			if *at(t) = nil; !d.null() {
				*at(t) = jsontext.Value(d.next())
			}
		},
		encode: func(w *writer, t *T) {
			if v := *at(t); len(v) > 0 {
				w.name(name)
				w.b = append(w.b, v...)
			}
		},
		clear: func(t *T) { *at(t) = nil },
	}
}

// key is an object's primary key, without which its answer is refused.
func key[T any](at func(*T) *PK) field[T] {
	return field[T]{
		name: "pk",
		decode: func(d *decoder, path string, t *T) {
			n, ok := d.integer()
			if !ok || n < 1 {
				d.refuse(path + " is not a primary key")
			}
			*at(t) = PK(n)
		},
		encode: func(w *writer, t *T) {
			w.name("pk")
			w.int(int64(*at(t)))
		},
		complete: func(d *decoder, path string, t *T) bool {
			if *at(t) == 0 {
				d.refuse(path + " is missing")
			}
			return true
		},
	}
}

// uuidKey is an element's primary key, without which its list is dropped.
func uuidKey[T any](at func(*T) *string) field[T] {
	return field[T]{
		name:   "pk",
		decode: func(d *decoder, _ string, t *T) { *at(t), _ = d.uuid() },
		encode: func(w *writer, t *T) {
			w.name("pk")
			w.quote(*at(t))
		},
		complete: func(_ *decoder, _ string, t *T) bool { return *at(t) != "" },
	}
}

func (d *decoder) text() (string, bool) {
	v := d.next()
	return d.own(unquote(v)), isString(v)
}

// own returns a text for the result: a part of what is read, unless that is large. A part would keep
// all of it in memory.
func (d *decoder) own(text string) string {
	if len(d.reader.text) > smallBody {
		return strings.Clone(text)
	}
	return text
}

func (d *decoder) boolean() (b, ok bool) {
	v := d.next()
	return v == "true", v == "true" || v == "false"
}

func (d *decoder) uuid() (string, bool) {
	text := strings.ToLower(unquote(d.next()))
	if len(text) != 36 {
		return "", false
	}
	for i := range len(text) {
		switch c := text[i]; i {
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
	return d.own(text), true
}

func (d *decoder) moment() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, unquote(d.next()))
	t = t.UTC() // whose year may be another, which cannot be written
	return t, err == nil && t.Year() >= 0 && t.Year() <= 9999
}

// integer reads 17 and 17.0: authentik documents some of its integers as numbers.
func (d *decoder) integer() (int32, bool) {
	n, err := strconv.ParseInt(strings.TrimSuffix(d.next(), ".0"), 10, 32)
	return int32(n), err == nil
}

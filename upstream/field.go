package upstream

import (
	"maps"
	"strings"
)

// object is the table of a type's fields. Decoding authentik's answers, encoding for the cache and
// redaction all follow from it, so a field is added in one place.
type object[T any] struct {
	fields     []field[T]
	members    map[string]member[T]    // by name in JSON
	redactions map[string]redaction[T] // by coordinate, with those of the objects below
}

// member is what decoding looks up by a name in JSON.
type member[T any] struct {
	path   string // what a dropped value is called in logs and metrics, such as user.email
	decode func(d *decoder, path string, t *T)
}

// redaction sets a field to null. Its coordinate is that of the schema's field, never of a deprecated one.
type redaction[T any] struct {
	coordinate string
	clear      func(t *T)
}

// field is a line of the table.
type field[T any] struct {
	name, schemaName string // in authentik's JSON and in the schema
	older            string // name in the JSON of earlier releases
	decode           func(d *decoder, path string, t *T)
	encode           func(w *writer, t *T)
	isNull           func(t *T) bool // for a field with an older name
	// clear is nil for a field that is never null and cannot be redacted.
	clear func(t *T)
	// complete, if not nil, checks an object that was read. It reports whether the object is usable.
	complete func(d *decoder, path string, t *T) bool
	// below are the redactions of the objects in this field.
	below map[string]redaction[T]
}

// newObject makes the table of a type. Path is where the object is in an answer, typeName its type in
// the schema.
func newObject[T any](path, typeName string, fields ...field[T]) *object[T] {
	o := &object[T]{fields: fields, members: map[string]member[T]{}, redactions: map[string]redaction[T]{}}
	within := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	for _, f := range fields {
		o.members[f.name] = member[T]{within(f.name), f.decode}
		if f.older != "" {
			o.members[f.older] = member[T]{within(f.older), f.decodeOlder}
		}
		maps.Copy(o.redactions, f.below)
		if f.clear == nil {
			continue
		}
		if f.schemaName == "" {
			f.schemaName = camelCase(f.name)
		}
		r := redaction[T]{typeName + "." + f.schemaName, f.clear}
		o.redactions[r.coordinate] = r
		if f.older != "" { // the schema shows the value under both names
			o.redactions[typeName+"."+camelCase(f.older)] = r
		}
	}
	return o
}

// camelCase is how the schema spells a name of authentik's.
func camelCase(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// decode reads an object into t. It reports whether there was one and it is usable.
func (o *object[T]) decode(d *decoder, t *T) bool {
	isObject := d.object(func(name string) {
		if m, ok := o.members[name]; ok {
			m.decode(d, m.path, t)
		} else {
			d.next()
		}
	})
	for _, f := range o.fields {
		if isObject && f.complete != nil && !f.complete(d, o.members[f.name].path, t) {
			return false
		}
	}
	return isObject
}

// value reads an object that must be there.
func (o *object[T]) value(d *decoder) *T {
	t := new(T)
	if !o.decode(d, t) {
		d.refuse("the answer or a row is no object")
	}
	return t
}

func (o *object[T]) encode(w *writer, t *T) {
	w.b = append(w.b, '{')
	for _, f := range o.fields {
		f.encode(w, t)
	}
	w.b = append(w.b, '}')
}

// as gives the field another name in the schema than its own in camel case.
func (f field[T]) as(schemaName string) field[T] {
	f.schemaName = schemaName
	return f
}

// neverNull keeps the field from redaction.
func (f field[T]) neverNull() field[T] {
	f.clear = nil
	return f
}

// formerly reads the field under its name in earlier releases as well. The present name prevails unless
// its value is null.
func (f field[T]) formerly(older string) field[T] {
	f.older = older
	decode := f.decode
	f.decode = func(d *decoder, path string, t *T) {
		if !d.null() {
			decode(d, path, t)
		}
	}
	return f
}

func (f field[T]) decodeOlder(d *decoder, path string, t *T) {
	if f.isNull(t) {
		f.decode(d, path, t)
	} else {
		d.next()
	}
}

// kind is how a value other than null is read, and written for the cache. Read reports whether the value
// has the expected form.
type kind[V any] struct {
	read  func(d *decoder) (V, bool)
	write func(w *writer, v *V)
}

// optional is a value that may be absent or null. Any other form is dropped.
func optional[T, V any](name string, at func(*T) **V, k kind[V]) field[T] {
	return field[T]{
		name: name,
		decode: func(d *decoder, path string, t *T) {
			*at(t) = nil
			if d.null() {
				return
			}
			if v, ok := k.read(d); ok {
				*at(t) = &v
			} else {
				d.drop(path)
			}
		},
		encode: func(w *writer, t *T) {
			if v := *at(t); v != nil {
				w.name(name)
				k.write(w, v)
			}
		},
		isNull: func(t *T) bool { return *at(t) == nil },
		clear:  func(t *T) { *at(t) = nil },
	}
}

// list is a list that may be absent or null. One element of another form drops the whole list: a shorter
// list would be wrong.
func list[T, V any](name string, at func(*T) *[]V, k kind[V]) field[T] {
	return field[T]{
		name: name,
		decode: func(d *decoder, path string, t *T) {
			*at(t) = nil
			if d.null() {
				return
			}
			items, ok := []V{}, true
			isList := d.elements(func() {
				if !ok {
					d.next()
					return
				}
				var v V
				v, ok = k.read(d)
				items = append(items, v)
			})
			if isList && ok {
				*at(t) = items
			} else {
				d.drop(path)
			}
		},
		encode: func(w *writer, t *T) {
			if items := *at(t); items != nil {
				w.name(name)
				w.list(len(items), func(i int) { k.write(w, &items[i]) })
			}
		},
		isNull: func(t *T) bool { return *at(t) == nil },
		clear:  func(t *T) { *at(t) = nil },
	}
}

// nested is an object of its own in a field.
func nested[T, U any](name string, at func(*T) **U, o *object[U]) field[T] {
	f := optional(name, at, kind[U]{read: o.read, write: o.encode})
	f.below = redactionsBelow(o, func(t *T, clear func(*U)) {
		if u := *at(t); u != nil {
			clear(u)
		}
	})
	return f
}

// nestedList is a list of objects in a field.
func nestedList[T, U any](name string, at func(*T) *[]U, o *object[U]) field[T] {
	f := list(name, at, kind[U]{read: o.read, write: o.encode})
	f.below = redactionsBelow(o, func(t *T, clear func(*U)) {
		for i := range *at(t) {
			clear(&(*at(t))[i])
		}
	})
	return f
}

func (o *object[T]) read(d *decoder) (t T, ok bool) {
	ok = o.decode(d, &t)
	return t, ok
}

func redactionsBelow[T, U any](o *object[U], each func(t *T, clear func(*U))) map[string]redaction[T] {
	below := map[string]redaction[T]{}
	for coordinate, r := range o.redactions {
		below[coordinate] = redaction[T]{r.coordinate, func(t *T) { each(t, r.clear) }}
	}
	return below
}

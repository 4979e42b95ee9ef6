package upstream

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lenient is to take what encoding/json takes. Both bound how deep JSON goes: without a bound, a few
// megabytes of brackets would end the process.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// validJSON is json.Valid, at a third of its time.
func validJSON(text []byte) bool { return jsontext.Value(text).IsValid(lenient...) }

var errSyntax = errors.New("decode: not JSON in UTF-8")

// walk reads a text, which is one value, by read.
func (d *decoder) walk(text []byte, read func()) error {
	if !utf8.Valid(text) {
		return errSyntax
	}
	if err := json.Unmarshal(text, &jsonWalk{d, read}, lenient...); err != nil && d.err == nil {
		return errSyntax
	}
	return d.err
}

// jsonWalk is a walk as package json sees it, which has readers of JSON to use again.
type jsonWalk struct {
	*decoder
	read func()
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (w *jsonWalk) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	w.json = from
	w.read()
	return w.err
}

// next reads a whole value, which is valid until the next one is read. Where the text is not JSON it
// is of no kind, and the walk ends.
func (d *decoder) next() jsontext.Value {
	v, err := d.json.ReadValue()
	d.check(err)
	return v
}

func (d *decoder) skip() { d.check(d.json.SkipValue()) }

func (d *decoder) check(err error) {
	if err != nil && d.err == nil {
		d.err = errSyntax
	}
}

// object reads an object by its members, whose values member reads. Anything else is passed over.
func (d *decoder) object(member func(key []byte)) (isObject bool) {
	if d.json.PeekKind() != jsontext.KindBeginObject {
		d.skip()
		return false
	}
	d.within(jsontext.KindEndObject, func() { member(unquote(d.next())) })
	return true
}

// elements reads a list by its elements, which element reads. Anything else is left.
func (d *decoder) elements(element func()) (isList bool) {
	if d.json.PeekKind() != jsontext.KindBeginArray {
		return false
	}
	d.within(jsontext.KindEndArray, element)
	return true
}

// within reads what is between the brackets.
func (d *decoder) within(end jsontext.Kind, read func()) {
	_, err := d.json.ReadToken()
	for d.check(err); d.err == nil && d.json.PeekKind() != end; {
		read()
	}
	if d.err == nil {
		_, err := d.json.ReadToken()
		d.check(err)
	}
}

// unquote is the text of a JSON string, which is a part of it if it can be; nil of another value.
// Half a surrogate pair is U+FFFD.
func unquote(v jsontext.Value) []byte {
	switch {
	case v.Kind() != jsontext.KindString:
		return nil
	case bytes.IndexByte(v, '\\') < 0:
		return v[1 : len(v)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, v)
	return text
}

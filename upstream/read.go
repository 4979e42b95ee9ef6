package upstream

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var errSyntax = errors.New("decode: not JSON in UTF-8")

// asSent reads JSON as authentik writes it: of repeated names the last counts, and half of a surrogate
// pair is U+FFFD. AllowInvalidUTF8 is for the latter; bytes that are not UTF-8 are refused beforehand.
var asSent = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// reader reads one JSON text from front to back. After an error there is nothing left to read, so that
// callers look at err once, at the end.
type reader struct {
	text string
	json *jsontext.Decoder
	err  error
}

// read reads a text that is one value by the function value.
func (r *reader) read(text string, value func()) error {
	if !utf8.ValidString(text) {
		return errSyntax
	}
	r.text, r.json = text, jsontext.NewDecoder(bytes.NewBufferString(text), asSent)
	value()
	if r.err == nil {
		if _, err := r.json.ReadToken(); err != io.EOF { //nolint:errorlint // as io.Reader has it
			r.err = errSyntax
		}
	}
	return r.err
}

// isJSON reports whether a text is one value. Its strings may hold bytes that are not UTF-8.
func isJSON(text []byte) bool { return jsontext.Value(text).IsValid(asSent) }

// fail keeps the first error.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// peek returns the kind of what comes next, KindInvalid after an error.
func (r *reader) peek() jsontext.Kind {
	if r.err != nil {
		return jsontext.KindInvalid
	}
	return r.json.PeekKind()
}

// next reads a whole value and returns its part of the text, "" after an error.
func (r *reader) next() string {
	if r.err != nil {
		return ""
	}
	v, err := r.json.ReadValue()
	if err != nil {
		r.fail(errSyntax)
		return ""
	}
	end := int(r.json.InputOffset())
	return r.text[end-len(v) : end]
}

// null reads a null, and reports whether there was one.
func (r *reader) null() bool {
	isNull := r.peek() == 'n'
	if isNull {
		r.next()
	}
	return isNull
}

// object reads an object, and its members by the function. It skips any other value.
func (r *reader) object(member func(name string)) (isObject bool) {
	if r.peek() != '{' {
		r.next()
		return false
	}
	r.within(func() { member(unquote(r.next())) })
	return true
}

// elements reads a list, and its elements by the function. It skips any other value.
func (r *reader) elements(element func()) (isList bool) {
	if r.peek() != '[' {
		r.next()
		return false
	}
	r.within(element)
	return true
}

// within reads what lies between two brackets.
func (r *reader) within(read func()) {
	r.bracket()
	for kind := r.peek(); kind != '}' && kind != ']' && r.err == nil; kind = r.peek() {
		read()
	}
	r.bracket()
}

func (r *reader) bracket() {
	if r.err != nil {
		return
	}
	if _, err := r.json.ReadToken(); err != nil {
		r.fail(errSyntax)
	}
}

// isString reports whether a value is a string.
func isString(v string) bool { return v != "" && v[0] == '"' }

// unquote returns the text of a JSON string, a part of v if nothing is escaped, and "" for any other
// value.
func unquote(v string) string {
	switch {
	case !isString(v):
		return ""
	case strings.IndexByte(v, '\\') < 0:
		return v[1 : len(v)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, v) // with U+FFFD for half of a surrogate pair, which is an error
	return string(text)
}

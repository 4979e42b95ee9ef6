package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var errSyntax = errors.New("decode: not JSON in UTF-8")

// asSent reads JSON as authentik writes it: of repeated names the last counts, and half of a surrogate
// pair is U+FFFD. AllowInvalidUTF8 is for the latter; bytes that are not UTF-8 are refused beforehand.
var asSent = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// unmarshal reads a text that is one value. Its error holds nothing of the text: it goes to the log.
func unmarshal(text []byte, to any, o json.Options) error {
	if !utf8.Valid(text) {
		return errSyntax
	}
	err := json.Unmarshal(text, to, o)
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("decode: %q has an unexpected form", e.JSONPointer)
	}
	if err != nil {
		return errSyntax
	}
	return nil
}

// isJSON reports whether a text is one value. Its strings may hold bytes that are not UTF-8.
func isJSON(text []byte) bool { return jsontext.Value(text).IsValid(asSent) }

// members are those of a body that is an object, as far as it is JSON.
func members(body []byte) iter.Seq2[string, jsontext.Value] {
	return func(yield func(string, jsontext.Value) bool) {
		d := jsontext.NewDecoder(bytes.NewBuffer(body), asSent)
		if start, err := d.ReadToken(); err != nil || start.Kind() != '{' {
			return
		}
		for d.PeekKind() == '"' {
			token, _ := d.ReadToken()
			name := token.String()
			if value, err := d.ReadValue(); err != nil || !yield(name, value) {
				return
			}
		}
	}
}

// memberOf returns the first member of that name, nil if there is none.
func memberOf(body []byte, name string) jsontext.Value {
	for n, value := range members(body) {
		if n == name {
			return value
		}
	}
	return nil
}

// isTexts reports whether a value is a list of texts.
func isTexts(list jsontext.Value) bool {
	d := jsontext.NewDecoder(bytes.NewBuffer(list), asSent)
	if start, err := d.ReadToken(); err != nil || start.Kind() != '[' {
		return false
	}
	for d.PeekKind() == '"' {
		if err := d.SkipValue(); err != nil {
			return false
		}
	}
	end, err := d.ReadToken()
	return err == nil && end.Kind() == ']'
}

// unquote returns the text of a JSON string, "" for any other value. Half of a surrogate pair is U+FFFD.
func unquote(v jsontext.Value) string {
	switch {
	case v.Kind() != '"':
		return ""
	case !bytes.Contains(v, []byte(`\`)):
		return string(v[1 : len(v)-1])
	}
	s, _ := jsontext.AppendUnquote(nil, v) // half of a pair is an error beside the result
	return string(s)
}

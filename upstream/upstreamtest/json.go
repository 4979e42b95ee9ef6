package upstreamtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// object is a JSON object that keeps the order of its keys, which a map would
// lose and which clients are tested against.
type object []field

type field struct {
	key   string
	value any
}

// add appends a key.
func (o *object) add(key string, value any) { *o = append(*o, field{key, value}) }

// addIf appends a key that only some releases send.
func (o *object) addIf(sent bool, key string, value any) {
	if sent {
		o.add(key, value)
	}
}

// encode writes v as authentik does: compact, text beyond ASCII and the
// characters of HTML as they are. A value that cannot be written is a mistake
// in this package and panics.
func encode(v any) []byte { return appendJSON(nil, v) }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendQuote(b, f.key) // keys are plain ASCII
			b = append(b, ':')
			b = appendJSON(b, f.value)
		}
		return append(b, '}')
	case []object:
		b = append(b, '[')
		for i, o := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, o)
		}
		return append(b, ']')
	case json.RawMessage:
		return append(b, v...)
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		if isPlain(v) {
			return append(append(append(b, '"'), v...), '"')
		}
		return append(b, encodeLeaf(v)...)
	default:
		return append(b, encodeLeaf(v)...)
	}
}

// isPlain reports whether s needs no escape, as most text here.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// encodeLeaf writes text, numbers, flags, null and lists of these.
func encodeLeaf(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("upstreamtest: encode %T: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

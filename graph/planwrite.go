package graph

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/graph/scalar"
)

// step is a field of an object: how it is named and what writes it.
type step struct {
	name   string
	member int // of the Go struct; any for __typename
	write  writer
	below  []step
}

// writer appends a value, or returns nil if the answer is cut. below are the steps for the objects in
// the value, which is addressable.
type writer func(a *answer, b []byte, v reflect.Value, below []step) []byte

// settleBytes is how much is written before it is counted.
const settleBytes = 4 << 10

// answer is what is known of an answer while its data is written.
type answer struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call
	req     *Request
	budget  responseBudget
	size    int64 // of the last answer of the same plan
	buffer  []byte
	settled int // how many bytes are counted
}

// inTime tells whether the answer is still waited for. If not, it is cut.
func (a *answer) inTime() bool {
	if a.ctx.Err() == nil {
		return true
	}
	a.req.stop(tooLate)
	return false
}

// settle counts what was written since the last time. It returns nil if the answer is cut. The buffer
// grows at once to what the last answer took, as far as there is room.
func (a *answer) settle(b []byte) []byte {
	if !a.inTime() || !a.budget.spend(a.ctx, a.req, int64(len(b)-a.settled)) {
		return nil
	}
	a.settled = len(b)
	return slices.Grow(b, max(int(min(a.size, freeBytes+a.req.response.granted.Load()))-len(b), 0))
}

// root writes the data of the whole answer, and what stands before it. It returns nil if the answer is cut.
func (a *answer) root(calls []call) []byte {
	b := append(slices.Grow(a.buffer, int(min(a.size, freeBytes))), dataPrefix...)
	for i := range calls {
		c := &calls[i]
		if c.in != nil && !c.value.IsNil() && !a.inTime() {
			return nil
		}
		if b = c.write(a, appendName(b, i, c.name), c.value, c.below); b == nil {
			return nil
		}
	}
	return append(b, '}') // the transport looks at the size of the whole
}

func writeObject(a *answer, b []byte, v reflect.Value, below []step) []byte {
	if len(below) == 0 {
		return append(b, "{}"...)
	}
	for i := range below {
		s := &below[i]
		b = s.write(a, appendName(b, i, s.name), v.Field(s.member), s.below)
		if len(b)-a.settled >= settleBytes {
			b = a.settle(b)
		}
		if b == nil {
			return nil
		}
	}
	return append(b, '}')
}

// appendName appends what stands before the value of an object's field.
func appendName(b []byte, i int, name string) []byte {
	return append(append(append(b, "{,"[min(i, 1)], '"'), name...), '"', ':')
}

// orNull writes what a pointer points to.
func orNull(write writer) writer {
	return func(a *answer, b []byte, v reflect.Value, below []step) []byte {
		if v.IsNil() {
			return append(b, "null"...)
		}
		return write(a, b, v.Elem(), below)
	}
}

// list writes a slice. None is an empty list where there must be one, as in the generated code.
func list(write writer, nonNull bool) writer {
	return func(a *answer, b []byte, v reflect.Value, below []step) []byte {
		if !nonNull && v.IsNil() {
			return append(b, "null"...)
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			if b = write(a, b, v.Index(i), below); b == nil {
				return nil
			}
		}
		return append(b, ']')
	}
}

// leaf is a scalar: the Go type that gqlgen.yml gives it, what writes it, and what reads it as an
// argument.
type leaf struct {
	goType reflect.Type
	write  writer
	read   func(v any, into reflect.Value) error
}

var leaves = map[string]leaf{
	"ID":       leafOf(graphql.UnmarshalID, appendText),
	"String":   leafOf(graphql.UnmarshalString, appendText),
	"UUID":     leafOf(scalar.UnmarshalUUID, appendQuoted),
	"Boolean":  leafOf(graphql.UnmarshalBoolean, strconv.AppendBool),
	"Int":      leafOf(graphql.UnmarshalInt32, func(b []byte, n int32) []byte { return strconv.AppendInt(b, int64(n), 10) }),
	"DateTime": leafOf(scalar.UnmarshalDateTime, func(b []byte, t time.Time) []byte { return append(scalar.AppendDateTime(append(b, '"'), t), '"') }),
	"JSON": leafOf(scalar.UnmarshalJSON, func(b []byte, raw jsontext.Value) []byte {
		if raw == nil {
			raw = jsontext.Value("null")
		}
		return append(b, raw...)
	}),
}

func leafOf[T any](unmarshal func(any) (T, error), write func([]byte, T) []byte) leaf {
	return leaf{
		goType: reflect.TypeFor[T](),
		write: func(_ *answer, b []byte, v reflect.Value, _ []step) []byte {
			return write(b, *v.Addr().Interface().(*T))
		},
		read: func(v any, into reflect.Value) (err error) {
			*into.Addr().Interface().(*T), err = unmarshal(v)
			return err
		},
	}
}

func writeEnum(_ *answer, b []byte, v reflect.Value, _ []step) []byte {
	return appendQuoted(b, v.String())
}

func readEnum(v any, into reflect.Value) error {
	return into.Addr().Interface().(graphql.Unmarshaler).UnmarshalGQL(v)
}

// appendText writes a string as graphql.MarshalString does.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		if at := strings.IndexByte("\t\r\n\\\"", c); at >= 0 {
			b = append(b, '\\', "trn\\\""[at])
		} else {
			const hex = "0123456789ABCDEF"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
	return append(append(b, s[start:]...), '"')
}

// appendQuoted writes a string as strconv.Quote does, by which the generated code writes enums, and
// package scalar UUIDs. Most are the same either way.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return strconv.AppendQuote(b, s)
		}
	}
	return appendText(b, s)
}

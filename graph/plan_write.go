package graph

import (
	"context"
	"reflect"
	"strconv"

	"github.com/99designs/gqlgen/graphql"

	"authentik-graphql/graph/scalar"
)

// step writes a field of an object.
type step struct {
	name   string // the response key
	member int    // of the Go struct; any for __typename
	write  writer
	below  []step
}

// writer appends a value, or returns nil if the response is stopped. below are the steps for the objects
// in the value, which is addressable.
type writer func(e *execution, b []byte, v reflect.Value, below []step) []byte

// spendBytes is how much is written before it is counted.
const spendBytes = 4 << 10

// execution is the state of one execution of a plan.
type execution struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call
	req     *Request
	budget  responseBudget
	counted int // how many bytes of the response are counted
}

// inTime reports whether the context has not ended. If it has, the response is stopped.
func (e *execution) inTime() bool {
	if e.ctx.Err() == nil {
		return true
	}
	e.req.stop(tooLate)
	return false
}

// count counts what was written since the last time. It returns nil if the response is stopped.
func (e *execution) count(b []byte) []byte {
	if !e.inTime() || !e.budget.spend(e.ctx, e.req, int64(len(b)-e.counted)) {
		return nil
	}
	e.counted = len(b)
	return b
}

// write writes the data of the response, or returns nil if it is stopped.
func (e *execution) write(calls []call) []byte {
	b := make([]byte, 0, 2*spendBytes) // enough for one grant in full
	for i := range calls {
		c := &calls[i]
		if c.in != nil && !c.value.IsNil() && !e.inTime() {
			return nil
		}
		if b = c.write(e, appendName(b, i, c.name), c.value, c.below); b == nil {
			return nil
		}
	}
	return append(b, '}') // the transport checks the size of the whole
}

func writeObject(e *execution, b []byte, v reflect.Value, below []step) []byte {
	if len(below) == 0 {
		return append(b, "{}"...)
	}
	for i := range below {
		s := &below[i]
		b = s.write(e, appendName(b, i, s.name), v.Field(s.member), s.below)
		if len(b)-e.counted >= spendBytes {
			b = e.count(b)
		}
		if b == nil {
			return nil
		}
	}
	return append(b, '}')
}

// appendName appends what precedes the value of an object's field.
func appendName(b []byte, i int, name string) []byte {
	return append(append(append(b, "{,"[min(i, 1)], '"'), name...), '"', ':')
}

// orNull writes what a pointer points to.
func orNull(write writer) writer {
	return func(e *execution, b []byte, v reflect.Value, below []step) []byte {
		if v.IsNil() {
			return append(b, "null"...)
		}
		return write(e, b, v.Elem(), below)
	}
}

// list writes a slice. A nil slice is an empty list where null is not allowed, as in generated code.
func list(write writer, nonNull bool) writer {
	return func(e *execution, b []byte, v reflect.Value, below []step) []byte {
		if !nonNull && v.IsNil() {
			return append(b, "null"...)
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			if b = write(e, b, v.Index(i), below); b == nil {
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
	"ID":       leafOf(graphql.UnmarshalID, scalar.AppendString),
	"String":   leafOf(graphql.UnmarshalString, scalar.AppendString),
	"UUID":     leafOf(graphql.UnmarshalString, scalar.AppendString),
	"Boolean":  leafOf(graphql.UnmarshalBoolean, strconv.AppendBool),
	"Int":      leafOf(graphql.UnmarshalInt32, func(b []byte, n int32) []byte { return strconv.AppendInt(b, int64(n), 10) }),
	"DateTime": leafOf(scalar.UnmarshalDateTime, scalar.AppendDateTime),
	"JSON":     leafOf(scalar.UnmarshalJSON, scalar.AppendJSON),
}

func leafOf[T any](unmarshal func(any) (T, error), write func([]byte, T) []byte) leaf {
	return leaf{
		goType: reflect.TypeFor[T](),
		write: func(_ *execution, b []byte, v reflect.Value, _ []step) []byte {
			return write(b, *v.Addr().Interface().(*T))
		},
		read: func(v any, into reflect.Value) (err error) {
			*into.Addr().Interface().(*T), err = unmarshal(v)
			return err
		},
	}
}

func writeEnum(_ *execution, b []byte, v reflect.Value, _ []step) []byte {
	return scalar.AppendString(b, v.String())
}

func readEnum(v any, into reflect.Value) error {
	return into.Addr().Interface().(graphql.Unmarshaler).UnmarshalGQL(v)
}

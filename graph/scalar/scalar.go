package scalar

import (
	"errors"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"
)

// appended is a value that a function appends.
func appended[T any](write func([]byte, T) []byte, v T) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(write(nil, v)) })
}

// MarshalDateTime writes a time the way authentik does: RFC 3339 in UTC with six digits of fraction, or
// none when they are all zero.
func MarshalDateTime(t time.Time) graphql.Marshaler { return appended(AppendDateTime, t) }

// AppendDateTime appends what [MarshalDateTime] writes.
func AppendDateTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if t.Nanosecond() < 1000 {
		return t.AppendFormat(b, `"2006-01-02T15:04:05Z"`)
	}
	return t.AppendFormat(b, `"2006-01-02T15:04:05.000000Z"`)
}

// UnmarshalDateTime is required by gqlgen. No argument takes a time.
func UnmarshalDateTime(any) (time.Time, error) {
	return time.Time{}, errors.New("no argument takes a DateTime")
}

// AppendString appends a string, which the decoder has checked to be UTF-8.
func AppendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

// MarshalJSON writes a value as it is. The decoder has checked that it is valid.
func MarshalJSON(raw jsontext.Value) graphql.Marshaler { return appended(AppendJSON, raw) }

// AppendJSON appends what [MarshalJSON] writes.
func AppendJSON(b []byte, raw jsontext.Value) []byte {
	if raw == nil {
		return append(b, "null"...)
	}
	return append(b, raw...)
}

// UnmarshalJSON is required by gqlgen. No argument takes a JSON value.
func UnmarshalJSON(any) (jsontext.Value, error) { return nil, errors.New("no argument takes JSON") }

// MarshalRepresentation is required by gqlgen. No field has a representation.
func MarshalRepresentation(map[string]any) graphql.Marshaler { return graphql.Null }

// UnmarshalRepresentation reads an entity's representation. Anything but an object becomes an empty one,
// which fails by itself, with its index; an error here would fail the other entities as well.
func UnmarshalRepresentation(v any) (map[string]any, error) {
	representation, _ := v.(map[string]any)
	return representation, nil
}

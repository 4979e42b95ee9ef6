package scalar

import (
	"errors"
	"io"
	"regexp"
	"strings"
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

// UnmarshalDateTime reads an RFC 3339 time. No argument takes one yet, but gqlgen requires the function.
func UnmarshalDateTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, errors.New("DateTime must be a string")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, errors.New("DateTime must be in RFC 3339 form, such as 2026-01-02T03:04:05Z")
	}
	return t, nil
}

// MarshalUUID writes a UUID, which the decoder has checked.
func MarshalUUID(s string) graphql.Marshaler { return appended(AppendString, s) }

// AppendString appends a string, which the decoder has checked to be UTF-8.
func AppendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// UnmarshalUUID reads a UUID in its 36-character form and returns it in lower case. No argument takes one
// yet.
func UnmarshalUUID(v any) (string, error) {
	s, ok := v.(string)
	if !ok || !uuid.MatchString(s) {
		return "", errors.New("UUID must be 36 characters, such as 3fa85f64-5717-4562-b3fc-2c963f66afa6")
	}
	return strings.ToLower(s), nil
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

package grants

import (
	"errors"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// Value is what the cache holds: a value of one of the types that [Codec] knows.
type Value = any

// Codec stores values in memory and in Redis.
var Codec = newCodec(
	kindOf('g', upstream.AppendGrant, upstream.RestoreGrant),
	kindOf('l', upstream.AppendRows, upstream.RestoreRows),
)

// kind is a type of values in their stored form, which begins with the kind's name.
type kind struct {
	name   byte
	encode func(b []byte, v Value) (longer []byte, ok bool)
	decode func(stored string) (Value, error)
}

func kindOf[T any](name byte, encode func([]byte, T) []byte, decode func(string) (T, error)) kind {
	return kind{
		name: name,
		encode: func(b []byte, v Value) ([]byte, bool) {
			t, ok := v.(T)
			if !ok {
				return b, false
			}
			return encode(append(b, name), t), true
		},
		decode: func(stored string) (Value, error) { return decode(stored) },
	}
}

var errUnknownKind = errors.New("grants: a stored value of an unknown kind")

func newCodec(kinds ...kind) cache.Codec[Value] {
	return cache.Codec[Value]{
		Encode: func(b []byte, v Value) []byte {
			for _, k := range kinds {
				if b, ok := k.encode(b, v); ok {
					return b
				}
			}
			return b // which cannot be decoded
		},
		Decode: func(stored string) (Value, error) {
			for _, k := range kinds {
				if stored != "" && stored[0] == k.name {
					return k.decode(stored[1:])
				}
			}
			return nil, errUnknownKind
		},
	}
}

// ErrorCodec shares authentik's errors with other processes.
var ErrorCodec = cache.ErrorCodec{Encode: encodeError, Decode: decodeError}

// encodeError stores authentik's errors alone. Another process may well succeed where this one did not get
// an answer.
func encodeError(err error) []byte {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok || e.NotSent() {
		return nil
	}
	return upstream.EncodeError(e)
}

func decodeError(stored []byte) (origin, err error) {
	e, err := upstream.RestoreError(stored)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Classify maps an error of a load to what it means for cached values.
func Classify(err error) cache.Outcome {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return cache.Error
	}
	switch e.Kind {
	case upstream.NotFound, upstream.Forbidden:
		return cache.Denied
	case upstream.Unauthenticated:
		return cache.Unauthenticated
	case upstream.Failed, upstream.Unavailable, upstream.Timeout:
		return cache.Unavailable
	}
	return cache.Error
}

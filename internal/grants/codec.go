package grants

import (
	"errors"
	"net/http"
	"strings"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// Value is what the cache holds: a value of one of the types that [Codec] knows.
type Value = any

// Codec stores values in memory and in Redis: a byte that names the type, and the value.
var Codec = cache.Codec[Value]{Encode: encode, Decode: decode}

func encode(b []byte, v Value) []byte {
	switch v := v.(type) {
	case *upstream.Grant:
		return upstream.AppendGrant(append(b, 'g'), v)
	case *upstream.Rows:
		return upstream.AppendRows(append(b, 'l'), v)
	case provider:
		if v.Refusal != nil {
			return append(append(b, 'r'), upstream.EncodeError(v.Refusal)...)
		}
		return upstream.AppendProvider(append(b, 'p'), v.Provider)
	}
	return b // which cannot be decoded
}

func decode(stored string) (Value, error) {
	switch {
	case strings.HasPrefix(stored, "g"):
		return upstream.RestoreGrant(stored[1:])
	case strings.HasPrefix(stored, "l"):
		return upstream.RestoreRows(stored[1:])
	case strings.HasPrefix(stored, "p"):
		p, err := upstream.RestoreProvider(stored[1:])
		return provider{Provider: p}, err
	case strings.HasPrefix(stored, "r"):
		refusal, err := upstream.RestoreError([]byte(stored[1:]))
		return provider{Refusal: refusal}, err
	}
	return nil, errors.New("grants: a stored value of an unknown type")
}

// ErrorCodec shares authentik's errors with other processes.
var ErrorCodec = cache.ErrorCodec{
	Encode: encodeError,
	Decode: func(stored []byte) (origin, err error) { return upstream.RestoreError(stored) },
}

// encodeError stores authentik's errors alone. Another process may well succeed where this one did not get
// an answer.
func encodeError(err error) []byte {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok || e.NotSent() {
		return nil
	}
	return upstream.EncodeError(e)
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
	case upstream.Failed, upstream.Unavailable, upstream.Timeout, upstream.InvalidResponse:
		switch {
		case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden: // perhaps about the caller
			return cache.Refused
		case e.Kind != upstream.InvalidResponse, e.Status == http.StatusBadRequest: // a proxy's page, whoever asks
			return cache.Unavailable
		}
	}
	return cache.Error
}

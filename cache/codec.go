package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Codec turns values into text and back. Where one cache has several kinds of values, the text begins with a
// byte that names the kind.
type Codec[V any] struct {
	// Encode appends the value to b.
	Encode func(b []byte, v V) []byte
	// Decode returns an error for anything but what Encode made. The value may refer to parts of the text.
	Decode func(text string) (V, error)
}

// ErrorCodec turns the origin's errors into bytes and back, so that processes can share them.
type ErrorCodec struct {
	// Encode returns nil for an error that is not to be shared.
	Encode func(error) []byte
	// Decode returns err for anything but what Encode made.
	Decode func([]byte) (origin, err error)
}

// envelopeHeader is the size of what precedes the payload of an entry in Redis: the outcome, the flags, and
// FetchedAt and EndsAt in microseconds since 1970.
const envelopeHeader = 18

const (
	flagFreshOnly = 1 << iota
	flagDenial

	flags = flagFreshOnly | flagDenial
)

var errNoCodec = errors.New("cache: the error cannot be encoded")

// encodeEntry returns an entry in the form in which it is sealed.
func encodeEntry(c ErrorCodec, e Encoded) ([]byte, error) {
	payload := e.Value
	if e.Outcome != Value {
		encoded := c.Encode(e.Err)
		if encoded == nil {
			return nil, errNoCodec
		}
		payload = string(encoded)
	}
	set := byte(0)
	if e.FreshOnly {
		set |= flagFreshOnly
	}
	if e.Denial {
		set |= flagDenial
	}
	b := make([]byte, 0, envelopeHeader+len(payload))
	b = append(b, byte(e.Outcome), set)
	b = binary.BigEndian.AppendUint64(b, uint64(e.FetchedAt.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(e.EndsAt.UnixMicro()))
	return append(b, payload...), nil
}

// decodeEntry reverses encodeEntry.
func decodeEntry(c ErrorCodec, b []byte) (e Encoded, err error) {
	if len(b) < envelopeHeader || b[0] > byte(Refused) || b[1]&^flags != 0 {
		return e, errUntrusted
	}
	e.Outcome = Outcome(b[0])
	e.FreshOnly, e.Denial = b[1]&flagFreshOnly != 0, b[1]&flagDenial != 0
	e.FetchedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(b[2:]))).UTC()
	e.EndsAt = time.UnixMicro(int64(binary.BigEndian.Uint64(b[10:]))).UTC()
	if e.Outcome == Value {
		e.Value = string(b[envelopeHeader:])
		return e, nil
	}
	if e.Err, err = c.Decode(b[envelopeHeader:]); err == nil && e.Err == nil {
		err = errNoCodec
	}
	if err != nil {
		return Encoded{}, fmt.Errorf("%w: %w", errUntrusted, err)
	}
	return e, nil
}

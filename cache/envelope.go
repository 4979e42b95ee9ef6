package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Codec turns values and the origin's errors into bytes and back. Decoding must accept exactly what
// encoding gave and return an error, not panic, for anything else. An error that EncodeError makes
// nothing of is not shared with other processes; without EncodeError none is.
type Codec[V any] struct {
	Encode      func(V) []byte
	Decode      func([]byte) (V, error)
	EncodeError func(error) []byte
	DecodeError func([]byte) (origin error, err error)
}

// envelopeHeader is the length of what stands before the payload: the verdict, flags, and FetchedAt
// and EndsAt, each as microseconds since 1970.
const envelopeHeader = 18

const flagFreshOnly = 1

var errNoCodec = errors.New("cache: this value cannot be encoded")

func encodeEntry[V any](c Codec[V], e Entry[V]) ([]byte, error) {
	var payload []byte
	switch {
	case e.Verdict == Given:
		payload = c.Encode(e.Value)
	case c.EncodeError == nil:
		return nil, errNoCodec
	default:
		if payload = c.EncodeError(e.Err); payload == nil {
			return nil, errNoCodec
		}
	}
	flags := byte(0)
	if e.FreshOnly {
		flags |= flagFreshOnly
	}
	b := make([]byte, 0, envelopeHeader+len(payload))
	b = append(b, byte(e.Verdict), flags)
	b = binary.BigEndian.AppendUint64(b, uint64(micros(e.FetchedAt)))
	b = binary.BigEndian.AppendUint64(b, uint64(micros(e.EndsAt)))
	return append(b, payload...), nil
}

func decodeEntry[V any](c Codec[V], b []byte) (e Entry[V], err error) {
	if len(b) < envelopeHeader || b[0] > byte(Failed) || b[1]&^flagFreshOnly != 0 {
		return e, errUntrusted
	}
	e.Verdict = Verdict(b[0])
	e.FreshOnly = b[1]&flagFreshOnly != 0
	e.FetchedAt = fromMicros(int64(binary.BigEndian.Uint64(b[2:])))
	e.EndsAt = fromMicros(int64(binary.BigEndian.Uint64(b[10:])))
	payload := b[envelopeHeader:]
	switch {
	case e.Verdict == Given:
		e.Value, err = c.Decode(payload)
	case c.DecodeError == nil:
		err = errNoCodec
	default:
		e.Err, err = c.DecodeError(payload)
	}
	if err == nil && (e.Err == nil) != (e.Verdict == Given) {
		err = errNoCodec
	}
	if err != nil {
		return Entry[V]{}, fmt.Errorf("%w: %w", errUntrusted, err)
	}
	return e, nil
}

// micros is 0 for the zero time, which lies far before 1970.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

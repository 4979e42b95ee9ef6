package cache

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Codec turns values into bytes and back. Decode must accept exactly what Encode gave and return
// an error, not panic, for anything else.
type Codec[V any] struct {
	Encode func(V) []byte
	Decode func([]byte) (V, error)
}

// envelopeHeader is the length of FetchedAt and EndsAt, each as microseconds since 1970.
const envelopeHeader = 16

func encodeEntry[V any](c Codec[V], e Entry[V]) []byte {
	payload := c.Encode(e.Value)
	b := make([]byte, 0, envelopeHeader+len(payload))
	b = binary.BigEndian.AppendUint64(b, uint64(micros(e.FetchedAt)))
	b = binary.BigEndian.AppendUint64(b, uint64(micros(e.EndsAt)))
	return append(b, payload...)
}

func decodeEntry[V any](c Codec[V], b []byte) (e Entry[V], err error) {
	if len(b) < envelopeHeader {
		return e, errUntrusted
	}
	e.FetchedAt = fromMicros(int64(binary.BigEndian.Uint64(b)))
	e.EndsAt = fromMicros(int64(binary.BigEndian.Uint64(b[8:])))
	if e.Value, err = c.Decode(b[envelopeHeader:]); err != nil {
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

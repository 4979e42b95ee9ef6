package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Codec turns values and the origin's errors into bytes and back. Encode appends to what it is given.
// Decoding must accept exactly what encoding gave and return an error, not panic, for anything else. A
// value may have parts of the text that it was decoded from; DecodeError must not keep the bytes, which
// are used again. An error that EncodeError makes nothing of is not shared with other processes;
// without EncodeError none is.
type Codec[V any] struct {
	Encode      func([]byte, V) []byte
	Decode      func(string) (V, error)
	EncodeError func(error) []byte
	DecodeError func([]byte) (origin error, err error)
}

// envelopeHeader is the length of what stands before the payload: the outcome, flags, and FetchedAt
// and EndsAt, each as microseconds since 1970.
const envelopeHeader = 18

const flagFreshOnly = 1

var errNoCodec = errors.New("cache: this value cannot be encoded")

// appendEntry appends an entry to b.
func appendEntry[V any](b []byte, c Codec[V], e Entry[V]) ([]byte, error) {
	flags := byte(0)
	if e.FreshOnly {
		flags |= flagFreshOnly
	}
	b = append(b, byte(e.Outcome), flags)
	b = binary.BigEndian.AppendUint64(b, uint64(micros(e.FetchedAt)))
	b = binary.BigEndian.AppendUint64(b, uint64(micros(e.EndsAt)))
	switch {
	case e.Outcome == Value && e.encoded != "":
		return append(b, e.encoded...), nil
	case e.Outcome == Value:
		return c.Encode(b, e.Value), nil
	}
	if c.EncodeError == nil {
		return b, errNoCodec
	}
	payload := c.EncodeError(e.Err)
	if payload == nil {
		return b, errNoCodec
	}
	return append(b, payload...), nil
}

func decodeEntry[V any](c Codec[V], b []byte) (e Entry[V], err error) {
	if len(b) < envelopeHeader || b[0] > byte(Error) || b[1]&^flagFreshOnly != 0 {
		return e, errUntrusted
	}
	e.Outcome = Outcome(b[0])
	e.FreshOnly = b[1]&flagFreshOnly != 0
	e.FetchedAt = fromMicros(int64(binary.BigEndian.Uint64(b[2:])))
	e.EndsAt = fromMicros(int64(binary.BigEndian.Uint64(b[10:])))
	payload := b[envelopeHeader:]
	switch {
	case e.Outcome == Value:
		e.encoded = string(payload)
		e.Value, err = c.Decode(e.encoded)
	case c.DecodeError == nil:
		err = errNoCodec
	default:
		e.Err, err = c.DecodeError(payload)
	}
	if err == nil && (e.Err == nil) != (e.Outcome == Value) {
		err = errNoCodec
	}
	if err != nil {
		return Entry[V]{}, fmt.Errorf("%w: %w", errUntrusted, err)
	}
	return e, nil
}

// keptBuffer is the largest buffer that is kept for the next value. Most are much smaller, and as many
// can be idle as operations ran at once.
const keptBuffer = 64 << 10

// buffer is memory for one value on its way to Redis or from there, plain and sealed.
type buffer struct{ plain, sealed []byte }

// buffers are used again by one operation after the other.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *buffer {
	if used, ok := b.pool.Get().(*buffer); ok {
		return used
	}
	return new(buffer)
}

func (b *buffers) put(used *buffer) {
	if cap(used.plain)+cap(used.sealed) <= keptBuffer {
		b.pool.Put(used)
	}
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

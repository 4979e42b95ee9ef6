package upstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// block has memory for values of one type. A code has some fifty: each with memory of its own would be
// most of what a read leaves to the garbage collector.
type block[T any] []T

// blockSize is how many values a block has at once. A code has some forty texts.
const blockSize = 16

// put returns the place of a value of its own.
func (b *block[T]) put(t T) *T {
	if len(*b) == cap(*b) {
		*b = make([]T, 0, blockSize)
	}
	*b = append(*b, t)
	return &(*b)[len(*b)-1]
}

// lettersSize is how much memory there is at once for the letters of texts.
const lettersSize = 1 << 10

// own is a text for the result: a part of the text that is read, unless that is large. One that is kept
// would keep all of it, which may be 4 MiB of something that nobody reads.
func (d *decoder) own(text string) string {
	if len(d.reader.text) <= smallBody {
		return text
	}
	if d.letters.Cap()-d.letters.Len() < len(text) {
		d.letters = strings.Builder{}
		d.letters.Grow(max(lettersSize, len(text)))
	}
	at := d.letters.Len()
	d.letters.WriteString(text)
	return d.letters.String()[at:]
}

// optional reads a value that may be absent or null into a block. One that read refuses is dropped.
func optional[T any](d *decoder, name string, in *block[T], read func(string) (T, bool)) *T {
	v := d.next()
	if isNull(v) {
		return nil
	}
	t, ok := read(v)
	if !ok {
		d.dropped = append(d.dropped, name)
		return nil
	}
	return in.put(t)
}

// listSize is for how many elements a list that has one has room. Most have one to three.
const listSize = 4

// list reads a list that may be absent or null, element by element. If read refuses one the whole
// list is dropped: a shorter list would be a lie.
func list[T any](d *decoder, name string, read func() (T, bool)) []T {
	items, ok := []T{}, true
	isList := d.elements(func() {
		if !ok {
			d.next()
			return
		}
		if cap(items) == 0 {
			items = make([]T, 0, listSize)
		}
		var t T
		t, ok = read()
		items = append(items, t)
	})
	switch {
	case isList && ok:
		return items
	case isList || !isNull(d.next()):
		d.dropped = append(d.dropped, name)
	}
	return nil
}

func isNull(v string) bool { return v == "null" }

func (d *decoder) asText(v string) (string, bool) { return d.own(unquote(v)), isString(v) }

func asBool(v string) (b, ok bool) {
	b = v == "true"
	return b, b || v == "false"
}

func (d *decoder) asUUID(v string) (string, bool) {
	text := strings.ToLower(unquote(v))
	if len(text) != 36 {
		return "", false
	}
	for i := range len(text) {
		switch c := text[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return "", false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return "", false
			}
		}
	}
	return d.own(text), true
}

func asTime(v string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, unquote(v))
	t = t.UTC() // which an offset may carry out of the years that can be written
	return t, err == nil && t.Year() >= 0 && t.Year() <= 9999
}

// integer reads 17 and 17.0: authentik documents some of its integers as numbers.
func integer(v string) (int32, bool) {
	n, err := strconv.ParseInt(strings.TrimSuffix(v, ".0"), 10, 32)
	return int32(n), err == nil
}

// raw copies the bytes of a JSON value; null is nil.
func raw(v string) jsontext.Value {
	if isNull(v) {
		return nil
	}
	return jsontext.Value(v)
}

func coalesce[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

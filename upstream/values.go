package upstream

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/tidwall/gjson"
)

// validJSON is json.Valid, at a third of its time. Like that it bounds how deep it goes; gjson's own
// check recurses without a bound, and a few megabytes of brackets would end the process.
func validJSON(text []byte) bool {
	return jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// tinyBlock is what Go takes for a value without pointers that is smaller: such values share a
// block, and any one of them keeps it.
const tinyBlock = 16

// keep copies a text out of the answer. A part of it would keep the whole answer in memory, which
// is longer than all texts that are wanted of it together, and the values that are redacted too.
func (d *decoder) keep(s string) string {
	if s == "" {
		return ""
	}
	var b strings.Builder // unlike strings.Clone it tells how much it took
	b.WriteString(s)
	d.held += max(b.Cap(), tinyBlock)
	return b.String()
}

// holds counts n values allocated as one piece, whose size Go rounds up by an eighth at most.
func holds[T any](d *decoder, n int) {
	size := n * int(reflect.TypeFor[T]().Size())
	d.held += size + size/8
}

// optional reads a value that may be absent or null. One that read refuses is dropped.
func optional[T any](d *decoder, name string, v gjson.Result, read func(gjson.Result) (T, bool)) *T {
	if v.Type == gjson.Null {
		return nil
	}
	t, ok := read(v)
	if !ok {
		d.dropped = append(d.dropped, name)
		return nil
	}
	d.held += max(int(reflect.TypeFor[T]().Size()), tinyBlock)
	return &t
}

// list reads a list that may be absent or null. If read refuses one element the whole list is
// dropped: a shorter list would be a lie.
func list[T any](d *decoder, name string, v gjson.Result, read func(gjson.Result) (T, bool)) []T {
	if v.Type == gjson.Null {
		return nil
	}
	items, ok := []T{}, v.IsArray()
	v.ForEach(func(_, v gjson.Result) bool {
		var t T
		if ok {
			t, ok = read(v)
			items = append(items, t)
		}
		return ok
	})
	if !ok {
		d.dropped = append(d.dropped, name)
		return nil
	}
	d.held += cap(items) * int(reflect.TypeFor[T]().Size())
	return items
}

func (d *decoder) asText(v gjson.Result) (string, bool) {
	return d.keep(v.Str), v.Type == gjson.String
}

func asBool(v gjson.Result) (bool, bool) { return v.Bool(), v.IsBool() }

func (d *decoder) asUUID(v gjson.Result) (string, bool) {
	if v.Type != gjson.String || len(v.Str) != 36 || uuid.Validate(v.Str) != nil {
		return "", false
	}
	return d.keep(strings.ToLower(v.Str)), true
}

func asTime(v gjson.Result) (time.Time, bool) {
	if v.Type != gjson.String {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, v.Str)
	t = t.UTC() // which an offset may carry out of the years that can be written
	return t, err == nil && t.Year() >= 0 && t.Year() <= 9999
}

// integer reads 17 and 17.0: authentik documents some of its integers as numbers.
func integer(v gjson.Result) (int32, bool) {
	if v.Type != gjson.Number {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(v.Raw, ".0"), 10, 32)
	return int32(n), err == nil
}

// raw copies the bytes of a JSON value; null is nil.
func (d *decoder) raw(v gjson.Result) json.RawMessage {
	if v.Type == gjson.Null {
		return nil
	}
	b := json.RawMessage(v.Raw)
	d.held += max(cap(b), tinyBlock)
	return b
}

func coalesce[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

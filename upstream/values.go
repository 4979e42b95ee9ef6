package upstream

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"
)

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
	d.copied += cap(items) * int(reflect.TypeFor[T]().Size())
	return items
}

func asText(v gjson.Result) (string, bool) { return v.Str, v.Type == gjson.String }

func asBool(v gjson.Result) (bool, bool) { return v.Bool(), v.IsBool() }

func asUUID(v gjson.Result) (string, bool) {
	if v.Type != gjson.String || len(v.Str) != 36 || uuid.Validate(v.Str) != nil {
		return "", false
	}
	return strings.ToLower(v.Str), true
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

// raw keeps the bytes of a JSON value; null is nil.
func (d *decoder) raw(v gjson.Result) json.RawMessage {
	if v.Type == gjson.Null {
		return nil
	}
	d.copied += len(v.Raw)
	return json.RawMessage(v.Raw)
}

func coalesce[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

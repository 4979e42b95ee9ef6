package upstreamtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// node is a JSON value whose object keys keep their order.
type node struct {
	kind  string // object, array, string, number, bool or null
	keys  []string
	items []node // values of the keys, or elements
}

func parse(t *testing.T, raw []byte) node {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	n, err := parseValue(dec)
	if err != nil {
		t.Fatalf("parse %.200s: %v", raw, err)
	}
	return n
}

func parseValue(dec *json.Decoder) (node, error) {
	token, err := dec.Token()
	if err != nil {
		return node{}, err
	}
	switch v := token.(type) {
	case json.Delim:
		return parseNested(dec, v)
	case string:
		return node{kind: "string"}, nil
	case json.Number:
		return node{kind: "number"}, nil
	case bool:
		return node{kind: "bool"}, nil
	default:
		return node{kind: "null"}, nil
	}
}

func parseNested(dec *json.Decoder, open json.Delim) (node, error) {
	n := node{kind: "array"}
	if open == '{' {
		n.kind = "object"
	}
	for dec.More() {
		if n.kind == "object" {
			key, err := dec.Token()
			if err != nil {
				return node{}, err
			}
			n.keys = append(n.keys, fmt.Sprint(key))
		}
		item, err := parseValue(dec)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token() // the closing delimiter
	return n, err
}

// compareShape compares names and order of keys and kinds of values. Null and
// any kind are alike, as are an empty array and any array; what attributes hold
// is the user's own.
func compareShape(t *testing.T, path string, got, want node) {
	t.Helper()
	if got.kind == "null" || want.kind == "null" {
		return
	}
	if got.kind != want.kind {
		t.Errorf("%s is %s, recorded %s", path, got.kind, want.kind)
		return
	}
	switch got.kind {
	case "array":
		if len(got.items) > 0 && len(want.items) > 0 {
			compareShape(t, path+"[0]", got.items[0], want.items[0])
		}
	case "object":
		if fmt.Sprint(got.keys) != fmt.Sprint(want.keys) {
			t.Errorf("keys of %q:\n got      %v\n recorded %v", path, got.keys, want.keys)
			return
		}
		for i, key := range got.keys {
			if key != "attributes" {
				compareShape(t, path+"."+key, got.items[i], want.items[i])
			}
		}
	}
}

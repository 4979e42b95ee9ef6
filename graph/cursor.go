package graph

import (
	"encoding/base64"
	"strconv"
	"strings"

	"authentik-graphql/upstream"
)

// A cursor is opaque to clients and contains no secret: the version, the list, the order, the primary key
// of its row, and as a hint the row's offset in the list.
const cursorVersion = "1"

var cursorEncoding = base64.RawURLEncoding.Strict()

func writeCursor(at upstream.Position, resource upstream.Resource, oldest bool) string {
	return cursorEncoding.EncodeToString([]byte(strings.Join([]string{
		cursorVersion, string(resource), orderLetter(oldest), at.PK.String(), strconv.Itoa(at.Offset),
	}, ".")))
}

// readCursor reads a cursor of a list in an order. ok is false for anything else.
func readCursor(s string, resource upstream.Resource, oldest bool) (at upstream.Position, ok bool) {
	if len(s) > 128 {
		return at, false
	}
	text, err := cursorEncoding.DecodeString(s)
	parts := strings.Split(string(text), ".")
	if err != nil || len(parts) != 5 || parts[0] != cursorVersion || parts[1] != string(resource) || parts[2] != orderLetter(oldest) {
		return at, false
	}
	at.PK, err = upstream.ParsePK(parts[3])
	if err != nil {
		return at, false
	}
	offset, err := strconv.ParseInt(parts[4], 10, 32)
	at.Offset = int(offset)
	return at, err == nil && writeCursor(at, resource, oldest) == s && offset >= 0
}

func orderLetter(oldest bool) string {
	if oldest {
		return "o"
	}
	return "n"
}

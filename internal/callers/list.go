package callers

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	maxEntries = 10000 // each is compared for every request
	maxName    = 64
	maxFaults  = 10 // reported together
)

// entry is one token that is accepted, by its hash, with the name of its caller.
type entry struct {
	hash  [sha256.Size]byte
	name  string
	write bool
}

// list is the content of CALLERS_FILE. It is immutable.
type list []entry

// find returns the entry of a token. It compares every entry, so that its time reveals nothing of them.
func (l list) find(hash [sha256.Size]byte) (entry, bool) {
	at := -1
	for i := range l {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(l[i].hash[:], hash[:]), i, at)
	}
	if at < 0 {
		return entry{}, false
	}
	return l[at], true
}

// names counts the callers. Each may have several tokens.
func (l list) names() int {
	names := map[string]bool{}
	for _, e := range l {
		names[e.name] = true
	}
	return len(names)
}

// parseList reads lines of the form `name sha256-hex [write]`, skipping blank lines and those that begin
// with #. Its errors give the number of a faulty line and never its text.
func parseList(content []byte) (list, error) {
	var entries list
	var faults []error
	lineOf := map[[sha256.Size]byte]int{} // by hash
	n := 0
	for text := range bytes.Lines(content) {
		n++
		fields := bytes.Fields(text)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		e, err := parseEntry(fields)
		if other, twice := lineOf[e.hash]; err == nil && twice {
			err = fmt.Errorf("has the hash of line %d", other)
		}
		if err != nil {
			if faults = append(faults, fmt.Errorf("line %d %w", n, err)); len(faults) == maxFaults {
				break
			}
			continue
		}
		if len(entries) == maxEntries {
			faults = append(faults, fmt.Errorf("line %d is one too many: at most %d tokens are accepted", n, maxEntries))
			break
		}
		lineOf[e.hash] = n
		entries = append(entries, e)
	}
	switch {
	case len(faults) > 0:
		return nil, errors.Join(faults...)
	case len(entries) == 0:
		return nil, errors.New("names no caller")
	}
	return entries, nil
}

func parseEntry(fields [][]byte) (e entry, err error) {
	e.name = string(fields[0])
	if !isName(e.name) {
		return e, fmt.Errorf("does not begin with a name of 1 to %d letters, digits, dots, hyphens and underscores", maxName)
	}
	if len(fields) < 2 || len(fields[1]) != hex.EncodedLen(sha256.Size) {
		return e, errors.New("has no SHA-256 hash of 64 hexadecimal digits after the name")
	}
	if _, err := hex.Decode(e.hash[:], fields[1]); err != nil { // err repeats a digit
		return e, errors.New("has no SHA-256 hash of 64 hexadecimal digits after the name")
	}
	if e.hash == sha256.Sum256(nil) {
		return e, errors.New("has the hash of an empty token")
	}
	e.write = len(fields) == 3 && string(fields[2]) == "write"
	if len(fields) > 2 && !e.write {
		return e, errors.New(`has something other than "write" after the hash`)
	}
	return e, nil
}

func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

package callers

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
)

const (
	maxEntries = 10000 // each is compared for every request
	maxFaults  = 10    // reported together
)

var (
	callerName = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
	hexHash    = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
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
	e.write = len(fields) == 3 && string(fields[2]) == "write"
	switch {
	case !callerName.MatchString(e.name):
		return e, errors.New("does not begin with a name of 1 to 64 letters, digits, dots, hyphens and underscores")
	case len(fields) < 2 || !hexHash.Match(fields[1]):
		return e, errors.New("has no SHA-256 hash of 64 hexadecimal digits after the name")
	case len(fields) > 2 && !e.write:
		return e, errors.New(`has something other than "write" after the hash`)
	}
	_, _ = hex.Decode(e.hash[:], fields[1])
	if e.hash == sha256.Sum256(nil) {
		return e, errors.New("has the hash of an empty token")
	}
	return e, nil
}

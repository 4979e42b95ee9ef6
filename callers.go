package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"authentik-graphql/graph"
	"authentik-graphql/upstream"
)

// serviceMode lets the callers of a list ask authentik with the service's own token, instead of
// everyone with theirs.
type serviceMode struct {
	token   *watchedFile[upstream.Credential]
	callers *watchedFile[callerList]
	stop    func(context.Context) error // nil until watch
}

// openServiceMode reads both files, and reports the mistakes of both. It returns nil if the settings
// name neither.
func openServiceMode(cfg Config) (*serviceMode, error) {
	if cfg.TokenFile == "" && cfg.CallersFile == "" {
		return nil, nil
	}
	token, tokenErr := openWatched("AUTHENTIK_TOKEN_FILE", cfg.TokenFile, parseToken)
	callers, callersErr := openWatched("CALLERS_FILE", cfg.CallersFile, parseCallers)
	if err := errors.Join(tokenErr, callersErr); err != nil {
		return nil, usageError{err}
	}
	return &serviceMode{token: token, callers: callers}, nil
}

// watch follows the files until close.
func (m *serviceMode) watch(log *slog.Logger) { m.stop = watch(log, m.token, m.callers) }

func (m *serviceMode) close(ctx context.Context) error {
	if m == nil || m.stop == nil {
		return nil
	}
	return m.stop(ctx)
}

// admit notes on a request who asks, and what goes to authentik for them: in service mode the
// service's token for those on the list and nothing for others, else the token that was given.
func (m *serviceMode) admit(req *graph.Request, given upstream.Credential) {
	if m == nil {
		req.Credential = given
		return
	}
	if given.IsZero() {
		return
	}
	if who, ok := m.callers.current().find(given.SHA256()); ok {
		req.Credential, req.Caller, req.ReadOnly = m.token.current(), who.name, !who.write
	}
}

// ownTokenError tells the caller that it is not their token that authentik rejects.
func ownTokenError(err error) error {
	if e, ok := errors.AsType[*upstream.Error](err); ok && e.Kind == upstream.Unauthenticated {
		return &graph.Error{Code: graph.CodeUpstreamError, Message: "authentik rejects this service's own token.", Err: err}
	}
	return err
}

// validateServiceMode reports the mistakes of the two settings and of their files.
func (c *Config) validateServiceMode() error {
	switch {
	case c.TokenFile != "" && c.CallersFile == "":
		return settingError("CALLERS_FILE", "is required with AUTHENTIK_TOKEN_FILE")
	case c.TokenFile == "" && c.CallersFile != "":
		return settingError("AUTHENTIK_TOKEN_FILE", "is required with CALLERS_FILE")
	}
	_, err := openServiceMode(*c)
	return err
}

func parseToken(content []byte) (upstream.Credential, error) {
	cred := upstream.NewCredential(string(bytes.TrimRight(content, "\r\n")))
	if cred.IsZero() {
		return cred, errors.New("does not hold a token and nothing else: 1 to 8192 visible ASCII characters")
	}
	return cred, nil
}

const (
	maxCallerLines  = 10000 // each is compared for every request
	maxCallerName   = 64
	maxCallerFaults = 10 // reported together
)

// callerLine is a token that is accepted, by its hash, and whose it is.
type callerLine struct {
	hash  [sha256.Size]byte
	name  string
	write bool
}

// callerList is what CALLERS_FILE says. It is never changed.
type callerList []callerLine

// find returns the line of a token. All lines are compared, in a time that tells nothing of them.
func (l callerList) find(hash [sha256.Size]byte) (callerLine, bool) {
	at := -1
	for i := range l {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(l[i].hash[:], hash[:]), i, at)
	}
	if at < 0 {
		return callerLine{}, false
	}
	return l[at], true
}

// names counts the callers, who may have several tokens.
func (l callerList) names() int {
	names := map[string]bool{}
	for _, line := range l {
		names[line.name] = true
	}
	return len(names)
}

// parseCallers reads lines of the form `name sha256-hex [write]`; blank lines and those that begin
// with # are left out. Its errors tell where a mistake is and never what stands there.
func parseCallers(content []byte) (callerList, error) {
	var list callerList
	var faults []error
	first := map[[sha256.Size]byte]int{} // the line that has a hash
	n := 0
	for text := range bytes.Lines(content) {
		n++
		fields := bytes.Fields(text)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		line, err := parseCaller(fields)
		if other, twice := first[line.hash]; err == nil && twice {
			err = fmt.Errorf("has the hash of line %d", other)
		}
		if err != nil {
			if faults = append(faults, fmt.Errorf("line %d %w", n, err)); len(faults) == maxCallerFaults {
				break
			}
			continue
		}
		if len(list) == maxCallerLines {
			faults = append(faults, fmt.Errorf("line %d is one caller's too many: at most %d are taken", n, maxCallerLines))
			break
		}
		first[line.hash] = n
		list = append(list, line)
	}
	switch {
	case len(faults) > 0:
		return nil, errors.Join(faults...)
	case len(list) == 0:
		return nil, errors.New("names no caller")
	}
	return list, nil
}

func parseCaller(fields [][]byte) (line callerLine, err error) {
	line.name = string(fields[0])
	if !isCallerName(line.name) {
		return line, fmt.Errorf("does not begin with a name of 1 to %d letters, digits, dots, hyphens and underscores", maxCallerName)
	}
	if len(fields) < 2 || len(fields[1]) != hex.EncodedLen(sha256.Size) {
		return line, errors.New("has no SHA-256 hash of 64 hexadecimal digits after the name")
	}
	if _, err := hex.Decode(line.hash[:], fields[1]); err != nil { // err repeats a digit
		return line, errors.New("has no SHA-256 hash of 64 hexadecimal digits after the name")
	}
	if line.hash == sha256.Sum256(nil) {
		return line, errors.New("has the hash of an empty token")
	}
	line.write = len(fields) == 3 && string(fields[2]) == "write"
	if len(fields) > 2 && !line.write {
		return line, errors.New(`has something else than "write" after the hash`)
	}
	return line, nil
}

func isCallerName(s string) bool {
	if s == "" || len(s) > maxCallerName {
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

package upstream

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// storedError is an Error without its cause, which is for the log of the process that saw it.
type storedError struct {
	Kind        Kind     `json:"kind"`
	Status      int      `json:"status,omitzero"`
	RetryAfter  int64    `json:"retry_after,omitzero"` // in nanoseconds
	Fields      []string `json:"fields,omitempty"`
	AuthentikID string   `json:"authentik_id,omitempty"`
}

// EncodeError writes an error for storage, so that others who ask the same need not ask authentik
// again. It holds nothing that authentik or the caller said but argument names.
func EncodeError(e *Error) []byte {
	b, _ := json.Marshal(storedError{e.Kind, e.Status, int64(e.RetryAfter), e.Fields, e.AuthentikID}) // plain values
	return b
}

// RestoreError reverses EncodeError.
func RestoreError(b []byte) (*Error, error) {
	var s storedError
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("upstream: stored error: %w", err)
	}
	if s.Kind < 0 || int(s.Kind) >= len(kindNames) {
		return nil, fmt.Errorf("upstream: stored error of unknown kind %d", s.Kind)
	}
	return &Error{
		Kind: s.Kind, Status: s.Status, RetryAfter: time.Duration(s.RetryAfter), Fields: s.Fields, AuthentikID: s.AuthentikID,
	}, nil
}

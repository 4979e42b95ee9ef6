//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

const revocation = `mutation Revoke($id: ID!) { revokeAuthorizationCode(id: $id) { id uncertain authorizationCode { id user { username } } } }`

// revoke revokes the code that waited for it longest. From now on it is a ghost, whatever comes of
// it; the oldest ghost that is still there goes without the service.
func (m *mix) revoke() question {
	code := m.doomed[0]
	m.doomed, m.ghosts = m.doomed[1:], append(m.ghosts, code)
	if len(m.ghosts) > maxGhosts {
		m.redeem(m.ghosts[0].PK)
		m.ghosts = m.ghosts[1:]
	}
	m.book.leaves(code.PK)
	return question{
		kind: kindRevoke, way: byPOST, token: m.callers[2].token, document: revocation,
		variables: map[string]any{"id": strconv.Itoa(int(code.PK))},
		check: func(field json.RawMessage, a answer, r reading) error {
			return m.checkRevoked(code, field, a, r)
		},
	}
}

// checkRevoked compares what the service says with what authentik has, and enters it in the book.
// After an error the code may be gone or not.
func (m *mix) checkRevoked(code upstreamtest.Code, field json.RawMessage, a answer, r reading) error {
	_, still := m.authentik.Code(code.PK)
	if !still {
		m.book.isGone(code.PK)
	}
	if !r.data {
		return nil
	}
	var got struct {
		ID                string
		Uncertain         bool
		AuthorizationCode *codeAnswer
	}
	err := json.Unmarshal(field, &got)
	switch was := got.AuthorizationCode; {
	case err != nil:
		return err
	case got.ID != strconv.Itoa(int(code.PK)), was != nil && (was.ID != got.ID || was.User.Username != code.Owner):
		return fmt.Errorf("not code %d of %s: %s", code.PK, code.Owner, a.body)
	case still:
		return fmt.Errorf("authentik has the code still: %s", a.body)
	case !got.Uncertain:
		m.book.isRevoked(code.PK)
	}
	return nil
}

// TestWrongRevocationsAreFound: what the service says of a revocation is not believed.
func TestWrongRevocationsAreFound(t *testing.T) {
	m := newMix(newFixture(upstreamtest.New(upstreamtest.Options{}), time.Now().Add(time.Hour), 0))
	tests := []struct {
		name, field string
		deleted     bool
		want        bool
		revoked     bool // from now on nobody may be shown the code
	}{
		{"it is", `{"id":"ID","uncertain":false,"authorizationCode":{"id":"ID","user":{"username":"OWNER"}}}`, true, true, true},
		{"it may be", `{"id":"ID","uncertain":true,"authorizationCode":null}`, true, true, false},
		{"it is not", `{"id":"ID","uncertain":false,"authorizationCode":null}`, false, false, false},
		{"it can not be", `{"id":"ID","uncertain":true,"authorizationCode":null}`, false, false, false},
		{"another is", `{"id":"1","uncertain":false,"authorizationCode":null}`, true, false, false},
		{"another's", `{"id":"ID","uncertain":false,"authorizationCode":{"id":"ID","user":{"username":"dave"}}}`, true, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code := m.add()
			if tt.deleted {
				m.authentik.RemoveCode(code.PK)
			}
			field := strings.NewReplacer("ID", strconv.Itoa(int(code.PK)), "OWNER", code.Owner).Replace(tt.field)
			if err := m.checkRevoked(code, json.RawMessage(field), answer{}, reading{data: true}); (err == nil) != tt.want {
				t.Errorf("right: %v, want %v (%v)", err == nil, tt.want, err)
			}
			if e, _ := m.book.entry(code.PK); e.revoked.IsZero() == tt.revoked || e.gone.IsZero() == tt.deleted {
				t.Errorf("in the book: %+v", e)
			}
		})
	}
}

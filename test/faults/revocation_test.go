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

// revoke revokes the oldest code that is to be revoked. From now on it counts as revoked, whatever the
// outcome. The oldest of too many that do is redeemed, in case its revocation failed.
func (w *workload) revoke() request {
	code := w.toRevoke[0]
	w.toRevoke, w.revoked = w.toRevoke[1:], append(w.revoked, code)
	if len(w.revoked) > maxRevoked {
		w.redeem(w.revoked[0].PK)
		w.revoked = w.revoked[1:]
	}
	w.ledger.markLeaving(code.PK)
	return request{
		kind: kindRevocation, transport: viaPOST, token: w.callers[2].token, document: revocation,
		variables: map[string]any{"id": strconv.Itoa(int(code.PK))},
		check: func(field json.RawMessage, r response, got result) error {
			return w.checkRevoked(code, field, r, got)
		},
	}
}

// checkRevoked compares what the service answers with what authentik has, and records it in the ledger.
// After an error the code may exist or not.
func (w *workload) checkRevoked(code upstreamtest.Code, field json.RawMessage, r response, got result) error {
	_, exists := w.authentik.Code(code.PK)
	if !exists {
		w.ledger.markGone(code.PK)
	}
	if !got.data {
		return nil
	}
	var revoked struct {
		ID                string
		Uncertain         bool
		AuthorizationCode *codeAnswer
	}
	err := json.Unmarshal(field, &revoked)
	switch was := revoked.AuthorizationCode; {
	case err != nil:
		return err
	case revoked.ID != strconv.Itoa(int(code.PK)), was != nil && (was.ID != revoked.ID || was.User.Username != code.Owner):
		return fmt.Errorf("not code %d of %s: %s", code.PK, code.Owner, r.body)
	case exists:
		return fmt.Errorf("authentik still has the code: %s", r.body)
	case !revoked.Uncertain:
		w.ledger.markRevoked(code.PK)
	}
	return nil
}

// TestWrongRevocationsAreFound: the service's word on a revocation is not trusted.
func TestWrongRevocationsAreFound(t *testing.T) {
	w := newWorkload(newFixture(upstreamtest.New(upstreamtest.Options{}), time.Now().Add(time.Hour), 0))
	tests := []struct {
		name, field string
		deleted     bool
		want        bool
		revoked     bool // the code must not be shown from now on
	}{
		{"confirmed", `{"id":"ID","uncertain":false,"authorizationCode":{"id":"ID","user":{"username":"OWNER"}}}`, true, true, true},
		{"outcome unknown", `{"id":"ID","uncertain":true,"authorizationCode":null}`, true, true, false},
		{"confirmed, but the code exists", `{"id":"ID","uncertain":false,"authorizationCode":null}`, false, false, false},
		{"outcome unknown, but the code exists", `{"id":"ID","uncertain":true,"authorizationCode":null}`, false, false, false},
		{"another code", `{"id":"1","uncertain":false,"authorizationCode":null}`, true, false, false},
		{"another owner", `{"id":"ID","uncertain":false,"authorizationCode":{"id":"ID","user":{"username":"dave"}}}`, true, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code := w.add()
			if tt.deleted {
				w.authentik.RemoveCode(code.PK)
			}
			field := strings.NewReplacer("ID", strconv.Itoa(int(code.PK)), "OWNER", code.Owner).Replace(tt.field)
			if err := w.checkRevoked(code, json.RawMessage(field), response{}, result{data: true}); (err == nil) != tt.want {
				t.Errorf("accepted: %v, want %v (%v)", err == nil, tt.want, err)
			}
			if e, _ := w.ledger.entry(code.PK); e.revoked.IsZero() == tt.revoked || e.gone.IsZero() == tt.deleted {
				t.Errorf("in the ledger: %+v", e)
			}
		})
	}
}

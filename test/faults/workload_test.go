//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// Kinds of requests beside those of the fixture, as the report calls them.
const (
	kindToRevoke   = "a code to be revoked"
	kindRevoked    = "a revoked code"
	kindRevocation = "a revocation"
	kindList       = "the first page of a list"
	kindPage       = "the next page of a list"
	kindInvalid    = "an invalid request"
	kindCancelled  = "a request that its client cancels"
)

const (
	// toRevokeCodes is how many codes are asked for before they are revoked.
	toRevokeCodes = 16
	// maxRevoked is large enough for the oldest to be asked for longer than the service keeps tombstones.
	maxRevoked = 400
	// maxClientWait is a little longer than authentik takes, so that most cancelled requests have no
	// response yet.
	maxClientWait = 60 * time.Millisecond
)

// workload mixes all kinds of requests.
type workload struct {
	*fixture
	toRevoke, revoked []upstreamtest.Code // the oldest first

	mu    sync.Mutex
	pages map[string]page // each caller's next page
}

func newWorkload(f *fixture) *workload { return &workload{fixture: f, pages: map[string]page{}} }

// next picks a request. Few are of the kinds that cost authentik a call.
func (w *workload) next() request {
	for len(w.toRevoke) < toRevokeCodes {
		w.toRevoke = append(w.toRevoke, w.add())
	}
	var q request
	switch n := w.random.IntN(100); {
	case n < 48:
		q = w.fixture.next().request()
	case n < 60:
		q = w.list()
	case n < 72:
		q = w.revocable(kindToRevoke, w.pick(w.toRevoke)).request()
	case n < 75:
		return w.revoke()
	case n < 87 && len(w.revoked) > 0:
		q = w.revocable(kindRevoked, w.pickRevoked()).request()
	case n < 93:
		return w.invalid()
	default:
		q = w.cancelled()
	}
	q.transport = []transport{viaPOST, viaPOST, viaGET, viaHash, viaPOSTGzip}[w.random.IntN(5)]
	return q
}

func (w *workload) pick(codes []upstreamtest.Code) upstreamtest.Code {
	return codes[w.random.IntN(len(codes))]
}

// pickRevoked prefers codes that were revoked last: half the time it picks one of those.
func (w *workload) pickRevoked() upstreamtest.Code {
	if w.random.IntN(2) == 0 {
		return w.pick(w.revoked)
	}
	return w.pick(w.revoked[max(0, len(w.revoked)-8):])
}

// revocable is a lookup of a code that is revoked sooner or later, by its owner or the superuser.
func (w *workload) revocable(kind string, code upstreamtest.Code) lookup {
	may := slices.DeleteFunc(slices.Clone(w.callers), func(c caller) bool { return !c.superuser && c.name != code.Owner })
	return lookup{kind: kind, caller: may[w.random.IntN(len(may))], code: code, ledger: w.ledger}
}

// cancelled is a slow request whose client closes the connection.
func (w *workload) cancelled() request {
	q := w.list()
	if w.random.IntN(2) == 0 {
		q = lookup{caller: w.callers[2], code: w.newCode()}.request()
	}
	q.kind = kindCancelled
	q.giveUpAfter = 1 + time.Duration(w.random.Int64N(int64(maxClientWait)))
	return q
}

// invalid is a request whose error must not depend on what is broken.
func (w *workload) invalid() request {
	const one = `query One($id: ID!) { authorizationCode(id: $id) { id } }`
	kinds := []request{
		{want: "GRAPHQL_PARSE_FAILED", document: `{ authorizationCode(id: `},
		{want: "GRAPHQL_VALIDATION_FAILED", document: `{ authorizationCode(id: 1) { secret } }`},
		{want: "LIMIT_EXCEEDED", document: `{` + strings.Repeat(` a: __typename`, 201) + ` }`},
		{want: "BAD_USER_INPUT", document: one, variables: map[string]any{"id": "0x11"}},
		{want: "BAD_USER_INPUT", document: `{ authorizationCodes(first: 0) { totalCount } }`},
		{want: "PAYLOAD_TOO_LARGE", status: 413, document: `{ __typename }` + strings.Repeat(" ", 64<<10)},
	}
	q := kinds[w.random.IntN(len(kinds))]
	q.kind, q.transport, q.token = kindInvalid, viaPOST, w.callers[w.random.IntN(len(w.callers))].token
	q.check = func(_ json.RawMessage, r response, got result) error {
		if got.code != q.want {
			return fmt.Errorf("not %s: %s", q.want, r.body)
		}
		return nil
	}
	return q
}

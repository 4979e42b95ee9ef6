package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// licence is how authentik refuses changes once its licence has expired.
var licence = upstreamtest.Fault{Name: "licence", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Method == http.MethodGet {
		next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte(`{"detail":"Request denied due to expired/invalid license.","code":"denied_license"}`))
}}

// onDelete applies faults to DELETE requests in turn and repeats the last one. Other requests succeed.
func onDelete(faults ...upstreamtest.Fault) upstreamtest.Fault {
	var n atomic.Int32
	return upstreamtest.Fault{Name: "on delete", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodDelete {
			next.ServeHTTP(w, r)
			return
		}
		faults[min(int(n.Add(1)), len(faults))-1].Serve(w, r, next)
	}}
}

// proper answers properly. lost performs the request without an answer.
var (
	proper = upstreamtest.Fault{Name: "proper", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }}
	lost   = upstreamtest.Fault{Name: "lost", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		upstreamtest.Reset.Serve(w, r, next)
	}}
	unknown404 = upstreamtest.Fault{Name: "unknown", Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"detail":"No AuthorizationCode matches the given query."}`))
	}}
)

// davesCode adds a code of dave, who may delete his codes.
func davesCode(up *fake) int32 { return addCodes(up.Authentik, upstreamtest.UserDave, 1)[0] }

func revokeCode(t *testing.T, a *instance, token string, pk int32) reply {
	t.Helper()
	return query(t, a.URL, token, fmt.Sprintf(`mutation { revokeAuthorizationCode(id: "%d") { id uncertain authorizationCode { id user { username } } } }`, pk))
}

func readCode(t *testing.T, a *instance, token string, pk int32) reply {
	t.Helper()
	return query(t, a.URL, token, fmt.Sprintf(`{ authorizationCode(id: "%d") { id } }`, pk))
}

// TestRevoke: a revoked code is gone for every caller at once, without another call.
func TestRevoke(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	pk, other := davesCode(up), davesCode(up)
	for _, token := range []string{upstreamtest.TokenDave, upstreamtest.TokenRoot} {
		if got := readCode(t, a, token, pk); len(got.Errors) > 0 {
			t.Fatalf("%s", got.Body)
		}
		listOf(t, ask(t, a, token, "authorizationCodes"))
	}
	up.ResetCalls()
	got := revokeCode(t, a, upstreamtest.TokenDave, pk)
	want := fmt.Sprintf(`{"revokeAuthorizationCode":{"id":"%d","uncertain":false,"authorizationCode":{"id":"%d","user":{"username":"dave"}}}}`, pk, pk)
	if string(got.Data) != want || len(got.Errors) > 0 {
		t.Errorf("got  %s\nwant %s", got.Body, want)
	}
	wantHeader(t, got, "Cache-Control", "no-store")
	for _, token := range []string{upstreamtest.TokenDave, upstreamtest.TokenRoot} {
		if got := readCode(t, a, token, pk); got.Codes() != "NOT_FOUND" {
			t.Errorf("after it: %s", got.Body)
		}
		if got := readCode(t, a, token, other); len(got.Errors) > 0 {
			t.Errorf("another: %s", got.Body)
		}
	}
	if n := up.Calls(); n.Total != 1 || n.Delete != 1 {
		t.Errorf("calls: %+v", n)
	}
	for _, token := range []string{upstreamtest.TokenDave, upstreamtest.TokenRoot} {
		for _, id := range listOf(t, ask(t, a, token, "authorizationCodes")).ids() {
			if id == fmt.Sprint(pk) {
				t.Error("it is in a list")
			}
		}
	}
	// A code that is not cached is revoked without being read.
	fresh := davesCode(up)
	up.ResetCalls()
	got = revokeCode(t, a, upstreamtest.TokenDave, fresh)
	if want := fmt.Sprintf(`{"revokeAuthorizationCode":{"id":"%d","uncertain":false,"authorizationCode":null}}`, fresh); string(got.Data) != want || up.Calls().Total != 1 {
		t.Errorf("%d calls, %s", up.Calls().Total, got.Body)
	}
	// The second revocation finds no code.
	if got := revokeCode(t, a, upstreamtest.TokenDave, fresh); got.Codes() != "NOT_FOUND" {
		t.Errorf("again: %s", got.Body)
	}
}

// TestRevokeTokens: each token has its own mutation. Lists of other resources stay cached.
func TestRevokeTokens(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	for field, resource := range map[string]upstreamtest.Resource{"AccessToken": upstreamtest.AccessTokens, "RefreshToken": upstreamtest.RefreshTokens} {
		lower := strings.ToLower(field[:1]) + field[1:]
		pk := up.AddToken(resource, upstreamtest.Token{Owner: upstreamtest.UserDave, Expires: time.Now().Add(time.Hour)})
		listOf(t, query(t, a.URL, upstreamtest.TokenDave, "{ list: "+lower+"s "+listFields+" }"))
		got := query(t, a.URL, upstreamtest.TokenDave, fmt.Sprintf(`mutation { r: revoke%s(id: %d) { id uncertain %s { id pk } } }`, field, pk, lower))
		if want := fmt.Sprintf(`{"r":{"id":"%d","uncertain":false,"%s":{"id":"%d","pk":%d}}}`, pk, lower, pk, pk); string(got.Data) != want {
			t.Errorf("got %s, want %s", got.Body, want)
		}
		if got := query(t, a.URL, upstreamtest.TokenDave, fmt.Sprintf(`{ %s(id: %d) { id } }`, lower, pk)); got.Codes() != "NOT_FOUND" {
			t.Errorf("after it: %s", got.Body)
		}
		if page := listOf(t, query(t, a.URL, upstreamtest.TokenDave, "{ list: "+lower+"s "+listFields+" }")); page.TotalCount != 0 {
			t.Errorf("after it: %+v", page)
		}
	}
}

// TestRevokeRefused: a refused revocation makes one call, and cached entries stay.
func TestRevokeRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, token   string
		owner         string
		fault         upstreamtest.Fault
		code, message string
		deletes, gets int
	}{
		{name: "one's own without the permission", token: upstreamtest.TokenAlice, owner: upstreamtest.UserAlice, code: "FORBIDDEN", deletes: 1},
		{name: "another's", token: upstreamtest.TokenDave, owner: upstreamtest.UserAlice, code: "NOT_FOUND", deletes: 1},
		{name: "without a token", owner: upstreamtest.UserDave, code: "UNAUTHENTICATED"},
		{name: "by a token that is none", token: "x", owner: upstreamtest.UserDave, code: "UNAUTHENTICATED", deletes: 1},
		{name: "by an expired licence", token: upstreamtest.TokenDave, owner: upstreamtest.UserDave, fault: licence, code: "FORBIDDEN",
			message: "authentik changes nothing: its enterprise licence has expired.", deletes: 1},
		{name: "a limit", token: upstreamtest.TokenDave, owner: upstreamtest.UserDave, fault: onDelete(upstreamtest.Throttled429), code: "RATE_LIMITED", deletes: 1},
		{name: "authentik fails", token: upstreamtest.TokenDave, owner: upstreamtest.UserDave, fault: upstreamtest.Error500, code: "UPSTREAM_ERROR", deletes: 1, gets: 1},
		{name: "the path is wrong", token: upstreamtest.TokenDave, owner: upstreamtest.UserDave, fault: upstreamtest.HTML404, code: "UPSTREAM_INVALID_RESPONSE", deletes: 1, gets: 1},
		{name: "authentik starts", token: upstreamtest.TokenDave, owner: upstreamtest.UserDave, fault: upstreamtest.Starting503JSON, code: "UPSTREAM_UNAVAILABLE", deletes: 1},
		{name: "the connection breaks twice", token: upstreamtest.TokenDave, owner: upstreamtest.UserDave, fault: upstreamtest.Reset, code: "UPSTREAM_UNAVAILABLE", deletes: 2},
		{name: "no answer", token: upstreamtest.TokenDave, owner: upstreamtest.UserDave, fault: upstreamtest.Hang, code: "GATEWAY_TIMEOUT", deletes: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h", "UPSTREAM_TIMEOUT=500ms")
			pk := addCodes(up.Authentik, tt.owner, 1)[0]
			readCode(t, a, upstreamtest.TokenRoot, pk)
			up.SetFault(pk, tt.fault)
			up.ResetCalls()
			got := revokeCode(t, a, tt.token, pk)
			if got.Codes() != tt.code || string(got.Data) != `{"revokeAuthorizationCode":null}` || tt.message != "" && got.Errors[0].Message != tt.message {
				t.Errorf("got %s", got.Body)
			}
			if n := up.Calls(); n.Delete != tt.deletes || n.Retrieve != tt.gets {
				t.Errorf("%d DELETEs and %d GETs, want %d and %d", n.Delete, n.Retrieve, tt.deletes, tt.gets)
			}
			up.ResetCalls()
			if got := readCode(t, a, upstreamtest.TokenRoot, pk); len(got.Errors) > 0 || up.Calls().Total != 0 {
				t.Errorf("what others have cached is lost: %d calls, %s", up.Calls().Total, got.Body)
			}
		})
	}
	for _, id := range []string{`0`, `"01"`, `"x"`, `-1`, `2147483648`} {
		up, a := newWorld(t, upstreamtest.Options{})
		if got := query(t, a.URL, upstreamtest.TokenDave, `mutation { revokeAccessToken(id: `+id+`) { id } }`); got.Codes() != "BAD_USER_INPUT" || up.Calls().Total != 0 {
			t.Errorf("%s: %s", id, got.Body)
		}
	}
}

// TestRevokeWithALostAnswer: a second attempt settles the outcome of the first, or it stays unknown. Then
// only the caller's own entry is dropped.
func TestRevokeWithALostAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault     upstreamtest.Fault
		uncertain bool
		code      string // of the mutation
		after     string // of the caller's next read
		others    string // of another caller's next read
		calls     int    // of the two reads
	}{
		"deleted by the first":            {onDelete(lost, proper), true, "", "NOT_FOUND", "", 1},
		"deleted by the second":           {onDelete(upstreamtest.Reset, proper), false, "", "NOT_FOUND", "NOT_FOUND", 0},
		"neither":                         {onDelete(upstreamtest.Reset, unknown404), true, "", "", "", 1},
		"two answers lost":                {onDelete(lost, lost), false, "UPSTREAM_UNAVAILABLE", "NOT_FOUND", "", 1},
		"lost, and the second is refused": {onDelete(lost, upstreamtest.Throttled429), false, "UPSTREAM_UNAVAILABLE", "NOT_FOUND", "", 1},
		"a failure inside":                {onDelete(upstreamtest.Empty405), false, "UPSTREAM_ERROR", "", "", 1},
		"deleted, and answered 503":       {onDelete(upstreamtest.Lost503, proper), true, "", "NOT_FOUND", "", 1},
		"503, then deleted":               {onDelete(upstreamtest.NotReady503, proper), false, "", "NOT_FOUND", "NOT_FOUND", 0},
		"503, and the second is refused":  {onDelete(upstreamtest.Lost503, upstreamtest.Forbidden403), false, "UPSTREAM_UNAVAILABLE", "NOT_FOUND", "", 1},
		"503, and the second is a page":   {onDelete(upstreamtest.Lost503, proxyPage(403)), false, "UPSTREAM_UNAVAILABLE", "NOT_FOUND", "", 1},
		"408, then deleted":               {onDelete(upstreamtest.Timeout408, proper), false, "", "NOT_FOUND", "NOT_FOUND", 0},
		"408 twice":                       {onDelete(upstreamtest.Timeout408), false, "GATEWAY_TIMEOUT", "", "", 1},
		"a page that refuses it":          {onDelete(proxyPage(403)), false, "UPSTREAM_INVALID_RESPONSE", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			rs := cachetest.StartRedis(t)
			up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h", "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret)
			pk := davesCode(up)
			for _, token := range []string{upstreamtest.TokenDave, upstreamtest.TokenRoot} {
				if got := readCode(t, a, token, pk); len(got.Errors) > 0 {
					t.Fatalf("%s", got.Body)
				}
			}
			up.SetFault(pk, tt.fault)
			got := revokeCode(t, a, upstreamtest.TokenDave, pk)
			if got.Codes() != tt.code || tt.code == "" && strings.Contains(string(got.Data), `"uncertain":true`) != tt.uncertain {
				t.Errorf("%s", got.Body)
			}
			up.ResetCalls()
			if got := readCode(t, a, upstreamtest.TokenDave, pk); got.Codes() != tt.after {
				t.Errorf("the caller: %s, want %q", got.Body, tt.after)
			}
			if got := readCode(t, a, upstreamtest.TokenRoot, pk); got.Codes() != tt.others {
				t.Errorf("another: %s, want %q", got.Body, tt.others)
			}
			if n := up.Calls().Total; n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
		})
	}
}

// TestRevokeByGet: no header lets a mutation run by GET.
func TestRevokeByGet(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{})
	pk := davesCode(up)
	req := newRequest(t, http.MethodGet, a.URL+"/graphql?query="+url.QueryEscape(fmt.Sprintf(`mutation { revokeAuthorizationCode(id: %d) { id } }`, pk)), nil)
	req.Header.Set("Authorization", "Bearer "+upstreamtest.TokenDave)
	req.Header.Set("Content-Type", "application/json")
	if got := send(t, req); got.Status != http.StatusMethodNotAllowed || got.Codes() != "METHOD_NOT_ALLOWED" || got.Header.Get("Allow") != "POST" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if n := up.Calls().Total; n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestRevokeInServiceMode: only callers with the right to write may revoke.
func TestRevokeInServiceMode(t *testing.T) {
	files := newServiceFiles(t, upstreamtest.TokenRoot, callerOf("reader", "reader")+callerOf("writer", "writer", "write"))
	up, a := newWorld(t, upstreamtest.Options{}, files.settings()...)
	pk := davesCode(up)
	if got := revokeCode(t, a, "reader", pk); got.Codes() != "FORBIDDEN" || up.Calls().Delete != 0 {
		t.Errorf("reader: %s", got.Body)
	}
	if got := revokeCode(t, a, "writer", pk); len(got.Errors) > 0 {
		t.Errorf("writer: %s", got.Body)
	}
	if got := readCode(t, a, "reader", pk); got.Codes() != "NOT_FOUND" {
		t.Errorf("reader, after it: %s", got.Body)
	}
}

package upstreamtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

const codes, access, refresh = upstreamtest.AuthorizationCodes, upstreamtest.AccessTokens, upstreamtest.RefreshTokens

// A token is a code with two keys more, in every release.
func TestKeysOfTokens(t *testing.T) {
	for _, release := range upstreamtest.Releases() {
		for _, resource := range []upstreamtest.Resource{access, refresh} {
			t.Run(fmt.Sprint(release, resource), func(t *testing.T) {
				fake := upstreamtest.New(upstreamtest.Options{Release: release})
				for _, r := range []upstreamtest.Resource{codes, resource} {
					addRow(fake, r, upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead, Scope: []string{"openid"}})
				}
				srv := start(t, fake)
				retrieve := func(r upstreamtest.Resource) node {
					_, _, body := send(t, http.MethodGet, srv.URL+r.Path()+"1/", bearer(upstreamtest.TokenAlice))
					return parse(t, body)
				}
				want := retrieve(codes)
				want.keys = append(want.keys, "id_token", "revoked")
				want.items = append(want.items, node{kind: "string"}, node{kind: "bool"})
				got := retrieve(resource)
				compareShape(t, "", got, want)

				_, _, body := send(t, http.MethodGet, srv.URL+resource.Path(), bearer(upstreamtest.TokenAlice))
				list := parse(t, body)
				if list.keys[1] != "results" {
					t.Fatalf("keys of the list: %v", list.keys)
				}
				compareShape(t, "results[0]", list.items[1].items[0], want)
			})
		}
	}
}

func TestIDToken(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	fake := upstreamtest.New(upstreamtest.Options{Now: func() time.Time { return now }})
	const own = "{\"sub\":\"ü\"}"
	for _, row := range []upstreamtest.Token{
		{PK: 1, Owner: upstreamtest.UserAlice, Expires: now.Add(10 * time.Minute)},
		{PK: 2, Owner: upstreamtest.UserAlice, Expires: now.Add(1000 * time.Hour)},
		{PK: 3, Owner: upstreamtest.UserAlice, IDToken: own, Revoked: true},
		{PK: 4, Owner: upstreamtest.UserAlice, IDToken: "{not JSON"},
	} {
		fake.AddToken(access, row)
	}
	fake.Revoke(access, 2)
	fake.Revoke(access, 99)
	srv := start(t, fake)
	rows := getList(t, srv, access, "?ordering=pk", upstreamtest.TokenAlice).Results
	if len(rows) != 4 || rows[2].IDToken != own || rows[3].IDToken != "{not JSON" {
		t.Fatalf("got %+v", rows)
	}
	for i, want := range []bool{false, true, true, false} {
		if stored, _ := fake.Token(access, rows[i].PK); rows[i].Revoked != want || stored.Revoked != want {
			t.Errorf("%d: revoked %v, stored %v, want %v", rows[i].PK, rows[i].Revoked, stored.Revoked, want)
		}
	}
	for i, issued := range []time.Time{now.Add(-50 * time.Minute), now} {
		text := rows[i].IDToken
		var claims struct {
			Iss, Aud, Name, Email string
			Exp, Iat              int64
			Groups                []string
		}
		if err := json.Unmarshal([]byte(text), &claims); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if claims.Aud != "grafana-client-id" || claims.Email != "alice@example.com" || claims.Iat != issued.Unix() || !slices.Equal(claims.Groups, []string{"engineers", "on-call"}) {
			t.Errorf("claims %+v", claims)
		}
		if !strings.HasPrefix(text, "{\n    \"iss\": \"https://") || !strings.Contains(text, "    \"groups\": [\n        \"engineers\",\n        \"on-call\"\n    ]\n}") {
			t.Errorf("not indented as authentik does: %s", text)
		}
	}
}

// Each resource has its own ids, rows and counts, and words of its own for what
// is not there.
func TestResourcesAreApart(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: 40, Owner: upstreamtest.UserAlice})
	for _, resource := range []upstreamtest.Resource{access, refresh} {
		if pk := fake.AddToken(resource, upstreamtest.Token{Owner: upstreamtest.UserAlice}); pk != 1 {
			t.Errorf("first of the %s: %d", resource, pk)
		}
	}
	fake.RemoveToken(refresh, 1)
	if pk := fake.AddToken(refresh, upstreamtest.Token{Owner: upstreamtest.UserAlice}); pk != 2 {
		t.Errorf("an id is given twice: %d", pk)
	}
	srv := start(t, fake)
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{
		{codes.Path() + "40/", 200, `{"pk":40,`},
		{codes.Path() + "1/", 404, `{"detail":"No AuthorizationCode matches the given query."}`},
		{access.Path() + "1/", 200, `{"pk":1,`},
		{access.Path() + "40/", 404, `{"detail":"No AccessToken matches the given query."}`},
		{access.Path() + "abc/", 404, `{"detail":"Not found."}`},
		{access.Path(), 200, `{"pagination":`},
		{refresh.Path() + "2/", 200, `{"pk":2,`},
		{refresh.Path() + "1/", 404, `{"detail":"No RefreshToken matches the given query."}`},
		{refresh.Path() + "2", 404, `<!DOCTYPE html>`},
		{"/api/v3/oauth2/tokens/1/", 404, `<!DOCTYPE html>`},
		{"/api/v3/oauth2/access_tokens", 404, `<!DOCTYPE html>`},
		{"/api/v3/oauth2/", 404, `<!DOCTYPE html>`},
	} {
		status, _, body := send(t, http.MethodGet, srv.URL+tt.path, bearer(upstreamtest.TokenAlice))
		if status != tt.status || !strings.HasPrefix(string(body), tt.body) {
			t.Errorf("%s: %d %.80s, want %d %s", tt.path, status, body, tt.status, tt.body)
		}
	}
	send(t, http.MethodDelete, srv.URL+refresh.Path()+"2/", bearer(upstreamtest.TokenRoot))

	got := fake.Calls()
	if got.Total != 9 || got.Retrieve != 7 || got.List != 1 || got.Delete != 1 {
		t.Errorf("counts %+v", got)
	}
	for resource, want := range map[upstreamtest.Resource]upstreamtest.ResourceCounts{
		codes:   {Total: 2, Retrieve: 2},
		access:  {Total: 4, Retrieve: 3, List: 1},
		refresh: {Total: 3, Retrieve: 2, Delete: 1},
	} {
		if got.ByResource[resource] != want {
			t.Errorf("%s: %+v, want %+v", resource, got.ByResource[resource], want)
		}
	}
	if fake.Retrieves(1) != 1 || fake.ResourceRetrieves(access, 1) != 1 || fake.ResourceRetrieves(refresh, 2) != 1 || fake.ResourceRetrieves(access, 2) != 0 {
		t.Error("retrieves are not told apart by resource")
	}
}

func TestDeletePermissions(t *testing.T) {
	const alice, bob, dave, root = upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenDave, upstreamtest.TokenRoot
	given := map[string][]string{upstreamtest.UserAlice: {"delete_accesstoken"}}
	for _, tt := range []struct {
		resource    upstreamtest.Resource
		permissions map[string][]string
		owner       string
		token       string
		want        int
	}{
		{codes, nil, "alice", alice, 403},
		{access, nil, "alice", alice, 403},
		{refresh, nil, "alice", alice, 403},
		{access, nil, "alice", bob, 404},
		{codes, nil, "dave", dave, 204},
		{access, nil, "dave", dave, 204},
		{refresh, nil, "dave", dave, 204},
		{refresh, nil, "alice", dave, 404},
		{access, nil, "alice", root, 204},
		{refresh, nil, "alice", root, 204},
		{access, given, "alice", alice, 204},
		{access, given, "bob", alice, 404},
		{codes, given, "alice", alice, 403},
		{refresh, given, "alice", alice, 403},
		{access, given, "bob", bob, 403},
	} {
		t.Run(fmt.Sprint(tt.resource, tt.permissions, " of ", tt.owner, " as ", tt.token), func(t *testing.T) {
			fake := upstreamtest.New(upstreamtest.Options{Permissions: tt.permissions})
			pk := addRow(fake, tt.resource, upstreamtest.Code{Owner: tt.owner})
			srv := start(t, fake)
			url := fmt.Sprintf("%s%s%d/", srv.URL, tt.resource.Path(), pk)
			status, _, body := send(t, http.MethodDelete, url, bearer(tt.token))
			if status != tt.want {
				t.Errorf("%d, want %d: %s", status, tt.want, body)
			}
			_, there := fake.Token(tt.resource, pk)
			if there == (tt.want == 204) {
				t.Errorf("the row is there: %v", there)
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	for name, call := range map[string]func(){
		"token among the codes":     func() { fake.AddToken(codes, upstreamtest.Token{Owner: upstreamtest.UserAlice}) },
		"unknown resource":          func() { fake.Remove("tokens", 1) },
		"fault of unknown resource": func() { fake.SetListFault("tokens", upstreamtest.Error500) },
		"unknown owner":             func() { fake.AddToken(access, upstreamtest.Token{Owner: "nobody"}) },
		"permissions of nobody":     func() { upstreamtest.New(upstreamtest.Options{Permissions: map[string][]string{"nobody": nil}}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

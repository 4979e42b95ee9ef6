package graph_test

import (
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/graph"
)

func TestRevokePayloads(t *testing.T) {
	g := &fakeGrants{rows: 5}
	base := serve(t, g, graph.Options{})
	got := post(t, base, `mutation { a: revokeAuthorizationCode(id: 2) { id authorizationCode { id } uncertain } b: revokeAccessToken(id: "3") { id accessToken { id } uncertain }
		c: revokeRefreshToken(id: 1) { id refreshToken { id } uncertain } d: revokeRefreshToken(id: 9) { id } e: revokeAccessToken(id: "01") { id }
		again: revokeAuthorizationCode(id: "2") { id } }`, `{}`)
	want := `"data":{"a":{"id":"2","authorizationCode":{"id":"2"},"uncertain":false},"b":{"id":"3","accessToken":{"id":"3"},"uncertain":false},` +
		`"c":{"id":"1","refreshToken":null,"uncertain":true},"d":null,"e":null,"again":{"id":"2"}}`
	if !strings.Contains(got.body, want) {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	if asked := strings.Join(g.revoked, "; "); asked != "authorization_codes 2; access_tokens 3; refresh_tokens 1; refresh_tokens 9" {
		t.Errorf("asked in the order %s", asked)
	}
	if cc := got.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("Cache-Control %q", cc)
	}
	if got := post(t, base, `mutation { revokeAuthorizationCode(id: 2) { id } }`, `{}`); got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", got.header.Get("Cache-Control"))
	}
	if got := send(t, http.MethodGet, base+"/?query=mutation%7BrevokeAuthorizationCode(id%3A2)%7Bid%7D%7D", "", jsonHeader); got.status != http.StatusMethodNotAllowed {
		t.Errorf("by GET: %d %s", got.status, got.body)
	}
	if len(g.revoked) != 5 {
		t.Errorf("%d revocations", len(g.revoked))
	}
}

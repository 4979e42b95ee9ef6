package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// moment is a request at a time of its own, and what its response must be.
type moment struct {
	after time.Duration // since the one before
	do    func(*direct) // before the request
	// replayed says that a cached response is repeated.
	replayed bool
	// grants and providers are calls to authentik.
	grants, providers int
	// control is the header field without private, max-age=, and stale a reason.
	age, control, stale, shows string
}

// TestProviderFreshness follows one request through time: what it costs, what it states, whether it is replayed.
func TestProviderFreshness(t *testing.T) {
	const (
		ofCode  = `{ authorizationCode(id: 17) { provider { clientId } } }`
		byID    = `{ oauth2Provider(id: 1) { clientId } }`
		id      = `"clientId":"grafana-client-id"`
		refused = `"clientId":null`
	)
	root, alice := upstreamtest.TokenRoot, upstreamtest.TokenAlice
	fails := func(a *direct) { a.up.SetResourceFault(upstreamtest.Providers, 1, upstreamtest.Error500) }
	permit := func(permissions ...string) func(*direct) {
		return func(a *direct) { a.up.SetPermissions(upstreamtest.UserAlice, permissions...) }
	}
	revoke := func(a *direct) { a.query(root, `mutation { revokeAuthorizationCode(id: 17) { id } }`, `{}`) }
	const long = "CACHE_TTL=1h"
	for _, tt := range []struct {
		name, token, document string
		settings              []string
		moments               []moment
	}{
		{"by default the grant ends first", root, ofCode, nil, []moment{
			{0, nil, false, 1, 1, "0", "5", "", id},
			{time.Second, nil, false, 0, 0, "1", "4", "", id},
			{time.Second, nil, true, 0, 0, "2", "3", "", id},
			{3 * time.Second, nil, false, 1, 0, "0", "5", "", id},
			{54 * time.Second, nil, false, 1, 0, "0", "1", "", id}, // the provider is 59 s old
			{time.Second, nil, false, 0, 1, "1", "4", "", id},
		}},
		{"a refused provider stays hot", alice, ofCode, []string{long}, []moment{
			{0, nil, false, 1, 1, "0", "60", "", refused},
			{time.Second, nil, false, 0, 0, "1", "59", "", refused},
			{29 * time.Second, nil, true, 0, 0, "30", "30", "", refused},
			{30*time.Second - 1, nil, true, 0, 0, "59", "0", "", refused},
			{1, nil, false, 0, 1, "60", "60", "", refused},
			{0, nil, false, 0, 0, "60", "60", "", refused},
			{0, nil, true, 0, 0, "60", "60", "", refused},
		}},
		{"a permission is given", alice, ofCode, []string{long}, []moment{
			{0, nil, false, 1, 1, "0", "60", "", refused},
			{0, nil, false, 0, 0, "0", "60", "", refused},
			{59 * time.Second, permit(upstreamtest.ViewProvider), true, 0, 0, "59", "1", "", refused},
			{time.Second, nil, false, 0, 1, "60", "60", "", id},
			{0, nil, false, 0, 0, "60", "60", "", id},
			{59 * time.Second, permit(), true, 0, 0, "119", "1", "", id},
			{time.Second, nil, false, 0, 1, "120", "60", "", refused},
		}},
		{"the grant ends", alice, `{ authorizationCode(id: 18) { isExpired provider { clientId } } }`, []string{long}, []moment{
			{0, nil, false, 1, 1, "0", "10", "", refused},
			{0, nil, false, 0, 0, "0", "10", "", refused},
			{10*time.Second - 1, nil, true, 0, 0, "9", "0", "", `"isExpired":false`},
			{time.Second, nil, false, 1, 0, "0", "49", "", `"isExpired":true`}, // fresh until the refusal ends
		}},
		{"the grant is revoked", alice, ofCode, []string{long}, []moment{
			{0, nil, false, 1, 1, "0", "60", "", refused},
			{0, nil, false, 0, 0, "0", "60", "", refused},
			{0, nil, true, 0, 0, "0", "60", "", refused},
			{0, revoke, false, 0, 0, "", "no-store", "", `NOT_FOUND`},
		}},
		{"authentik fails", root, ofCode, []string{long, "CACHE_PROVIDER_TTL=10s"}, []moment{
			{0, nil, false, 1, 1, "0", "10", "", id},
			{0, nil, false, 0, 0, "0", "10", "", id},
			{9 * time.Second, fails, true, 0, 0, "9", "1", "", id},
			{time.Second, nil, false, 0, 1, "10", "no-store", "stale-if-error", id},
			{0, nil, false, 0, 0, "10", "no-store", "stale-if-error", id},
			{30 * time.Second, nil, false, 0, 1, "40", "no-store", "", `UPSTREAM_ERROR`},
			{0, nil, false, 0, 0, "40", "no-store", "", refused}, // the failure is repeated for a second
			{time.Second, func(a *direct) { a.up.ClearFaults() }, false, 0, 1, "41", "10", "", id},
		}},
		{"authentik fails after a refusal", alice, ofCode, []string{long, "CACHE_PROVIDER_TTL=10s"}, []moment{
			{0, nil, false, 1, 1, "0", "10", "", refused},
			{10 * time.Second, fails, false, 0, 1, "10", "no-store", "stale-if-error", refused + `}}},"extensions"`}, // no error
			{30 * time.Second, nil, false, 0, 1, "40", "no-store", "", `UPSTREAM_ERROR`},
		}},
		{"the provider alone", root, byID, nil, []moment{
			{0, nil, false, 0, 1, "0", "60", "", id},
			{10 * time.Second, nil, false, 0, 0, "10", "50", "", id},
			{49 * time.Second, nil, true, 0, 0, "59", "1", "", id},
			{time.Second, nil, false, 0, 1, "0", "60", "", id},
		}},
		{"a refusal alone", alice, byID, nil, []moment{
			{0, nil, false, 0, 1, "0", "no-store", "", `FORBIDDEN`},
			{59 * time.Second, nil, false, 0, 0, "59", "no-store", "", `FORBIDDEN`},
			{time.Second, nil, false, 0, 1, "0", "no-store", "", `FORBIDDEN`},
		}},
		{"CACHE_PROVIDER_TTL=0s", root, ofCode, []string{"CACHE_PROVIDER_TTL=0s"}, []moment{
			{0, nil, false, 1, 1, "0", "0", "", id},
			{0, nil, false, 0, 1, "0", "0", "", id},
			{0, fails, false, 0, 1, "0", "no-store", "", `UPSTREAM_ERROR`},
			{0, nil, false, 0, 1, "0", "no-store", "", `UPSTREAM_ERROR`},
		}},
		{"CACHE_TTL=0s", alice, ofCode, []string{"CACHE_TTL=0s"}, []moment{
			{0, nil, false, 1, 1, "0", "0", "", refused},
			{0, nil, false, 1, 1, "0", "0", "", refused},
		}},
		{"CACHE_TTL=0s, several places", root, `{ a: authorizationCode(id: 17) { provider { clientId } } b: accessToken(id: 17) { provider { clientId } }
			c: oauth2Provider(id: 1) { id } _entities(representations: [{__typename: "OAuth2Provider", id: 1}]) { __typename } }`, []string{"CACHE_TTL=0s"}, []moment{
			{0, nil, false, 2, 1, "0", "0", "", id},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newDirect(t, upstreamtest.Options{Release: upstreamtest.R2026_8}, tt.settings...)
			a.addGrants(17, upstreamtest.ProviderGrafana)
			a.up.AddCode(upstreamtest.Code{PK: 18, Owner: upstreamtest.UserAlice, Expires: a.clock.Now().Add(10 * time.Second)})
			for i, m := range tt.moments {
				a.clock.Advance(m.after)
				if m.do != nil {
					m.do(a)
				}
				a.check(t, i, m, tt.token, tt.document)
			}
		})
	}
}

// check sends a document and compares the response with that of a moment.
func (d *direct) check(t *testing.T, i int, want moment, token, document string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	d.up.ResetCalls()
	got, replayed := d.ask(string(body), "Authorization: Bearer "+token)
	calls := d.up.Calls()
	if providers := calls.ByResource[upstreamtest.Providers].Total; providers != want.providers || calls.Total-providers != want.grants {
		t.Errorf("moment %d: %d calls for grants and %d for providers, want %d and %d", i, calls.Total-providers, providers, want.grants, want.providers)
	}
	if replayed != want.replayed {
		t.Errorf("moment %d: replayed %t", i, replayed)
	}
	control := strings.TrimPrefix(got.Header().Get("Cache-Control"), "private, max-age=")
	if age := got.Header().Get("Age"); age != want.age || control != want.control {
		t.Errorf("moment %d: Age %s, want %s; Cache-Control %s, want %s", i, age, want.age, control, want.control)
	}
	text := got.Body.String()
	if !strings.Contains(text, want.shows) || strings.Contains(text, `"STALE"`) != (want.stale != "") || !strings.Contains(text, want.stale) {
		t.Errorf("moment %d: want %s %s in %s", i, want.shows, want.stale, text)
	}
}

// TestStaleProviderWhileRevalidating: the old provider is shown at once, and marked, while it is read again.
func TestStaleProviderWhileRevalidating(t *testing.T) {
	a := newDirect(t, upstreamtest.Options{Release: upstreamtest.R2026_8}, "CACHE_TTL=1h", "CACHE_PROVIDER_TTL=10s", "CACHE_STALE_WHILE_REVALIDATE=1h")
	a.addGrants(17, upstreamtest.ProviderGrafana)
	const document = `{ authorizationCode(id: 17) { provider { clientId } } }`
	a.query(upstreamtest.TokenRoot, document, `{}`)
	a.up.SetResourceFault(upstreamtest.Providers, 1, upstreamtest.Hang)
	defer a.up.Close() // ends what hangs
	a.clock.Advance(11 * time.Second)
	got := a.query(upstreamtest.TokenRoot, document, `{}`)
	cachetest.Eventually(t, "the provider is read again", func() bool { return a.providerCalls() == 2 })
	wantHeader(t, got, "Cache-Status", "authentik-graphql; hit; ttl=-1; detail=stale-while-revalidate")
	wantHeader(t, got, "Cache-Control", "no-store")
	wantHeader(t, got, "Age", "11")
	if !strings.Contains(string(got.Body), `"grafana-client-id"`) || cacheExtension(t, got)["reason"] != "stale-while-revalidate" || len(got.Errors) > 0 {
		t.Errorf("%s", got.Body)
	}
}

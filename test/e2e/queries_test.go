package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

const aliceCode = `{ authorizationCode(id: "17") { id user { username } } }`

func TestFullQueryOfEveryRelease(t *testing.T) {
	t.Parallel()
	document := file(t, "graph/testdata/every-field.graphql")
	for _, release := range upstreamtest.Releases() {
		t.Run(string(release), func(t *testing.T) {
			up := startFake(t, upstreamtest.Options{Release: release})
			up.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana,
				Expires: time.Date(2099, 1, 2, 3, 4, 5, 123456000, time.UTC), Scope: []string{"openid", "email"}})
			a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "REDACT=none")
			body, err := json.Marshal(map[string]any{"query": document, "variables": map[string]any{"id": 17}})
			if err != nil {
				t.Fatal(err)
			}
			req := newRequest(t, http.MethodPost, a.URL+"/graphql", bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
			got := send(t, req)
			if len(got.Errors) > 0 {
				t.Fatalf("errors: %s", got.Body)
			}
			golden(t, filepath.Join("testdata", "golden", string(release)+".json"), got.Data)
		})
	}
}

// golden compares an answer with a file, except for fetchedAt.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	data = regexp.MustCompile(`"fetchedAt":"[^"]*"`).ReplaceAll(data, []byte(`"fetchedAt":"2026-01-02T03:04:05Z"`))
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile(name, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(name); err != nil || pretty.String() != string(want) {
		t.Errorf("the answer differs from %s: %v; got\n%s", name, err, pretty.String())
	}
}

func TestAliasesShareOneRead(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=0s")
	got := query(t, a.URL, upstreamtest.TokenAlice, `{
		a: authorizationCode(id: 17) { id } b: authorizationCode(id: "17") { pk }
		_entities(representations: [{__typename: "AuthorizationCode", id: 17}, {__typename: "AuthorizationCode", id: "18"}]) {
			... on AuthorizationCode { id }
		} }`)
	want := `{"a":{"id":"17"},"b":{"pk":17},"_entities":[{"id":"17"},null]}`
	if string(got.Data) != want || got.Codes() != "NOT_FOUND" {
		t.Errorf("got %s", got.Body)
	}
	if len(got.Errors) != 1 || fmt.Sprint(got.Errors[0].Path) != "[_entities 1]" {
		t.Errorf("the failed entity's path: %s", got.Body)
	}
	if n := up.Retrieves(17); n != 1 {
		t.Errorf("%d retrieves of 17, want 1", n)
	}
}

func TestExpiry(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	past, soon := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	up.AddCode(upstreamtest.Code{PK: 1, Owner: upstreamtest.UserAlice, Expires: soon})
	up.AddCode(upstreamtest.Code{PK: 2, Owner: upstreamtest.UserAlice, Expires: past})
	up.AddCode(upstreamtest.Code{PK: 3, Owner: upstreamtest.UserAlice, Expires: past, NeverExpires: true})
	up.AddCode(upstreamtest.Code{PK: 4, Owner: upstreamtest.UserAlice, NeverExpires: true})
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL)
	for pk, want := range map[int]string{1: "false", 2: "true", 3: "false", 4: "false"} {
		got := query(t, a.URL, upstreamtest.TokenAlice, fmt.Sprintf(`{ authorizationCode(id: %d) { isExpired } }`, pk))
		if string(got.Data) != `{"authorizationCode":{"isExpired":`+want+`}}` {
			t.Errorf("code %d: %s", pk, got.Body)
		}
	}
}

func TestRedactionReachesTheAnswer(t *testing.T) {
	t.Parallel()
	const document = `{ authorizationCode(id: 17) { isExpired expires user { email username } provider { clientSecret logoutUri backchannelLogoutUri } } }`
	tests := []struct{ name, redact, want string }{
		{"default", "", `"clientSecret":null,"logoutUri":"https://grafana.example.com/logout"`},
		{"none", "none", `"clientSecret":"`},
		{"taken away", "-OAuth2Provider.clientSecret", `"clientSecret":"`},
		{"added", "User.email", `"email":null,"username":"alice"},"provider":{"clientSecret":null`},
		{"both names", "OAuth2Provider.backchannelLogoutUri", `"logoutUri":null,"backchannelLogoutUri":null`},
		{"a whole object", "AuthorizationCode.user", `"user":null`},
		{"expires", "AuthorizationCode.expires", `"isExpired":false,"expires":null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, a := newWorld(t, upstreamtest.Options{}, "REDACT="+tt.redact)
			for range 2 { // loaded, then cached
				if got := query(t, a.URL, upstreamtest.TokenAlice, document); !strings.Contains(string(got.Body), tt.want) {
					t.Errorf("got %s", got.Body)
				}
			}
		})
	}
}

func TestFederationOff(t *testing.T) {
	a := startApp(t, []string{"-demo"}, "FEDERATION=false")
	for _, document := range []string{
		`{ _service { sdl } }`,
		`{ _entities(representations: [{__typename: "AuthorizationCode", id: 17}]) { __typename } }`,
	} {
		if got := query(t, a.URL, "demo-alice", document); got.Codes() != "FEDERATION_DISABLED" {
			t.Errorf("%s: %s", document, got.Body)
		}
	}
	if got := query(t, a.URL, "demo-alice", aliceCode); got.Codes() != "" {
		t.Errorf("other fields: %s", got.Body)
	}
}

func TestCallersShareNothing(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{})
	for range 2 {
		if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); len(got.Errors) > 0 {
			t.Fatalf("alice: %s", got.Body)
		}
		if got := query(t, a.URL, upstreamtest.TokenBob, aliceCode); got.Codes() != "NOT_FOUND" {
			t.Fatalf("bob: %s", got.Body)
		}
		if got := query(t, a.URL, upstreamtest.TokenRoot, aliceCode); len(got.Errors) > 0 {
			t.Fatalf("root: %s", got.Body)
		}
	}
	// One read for each: bob's refusal is cached as well.
	if n := up.Retrieves(17); n != 3 {
		t.Errorf("%d retrieves, want 3", n)
	}
}

// TestInventedTokenMakesOneCall: a request for a hundred codes with an invalid token makes one call.
func TestInventedTokenMakesOneCall(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=0s")
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "a%d: authorizationCode(id: %d) { id } ", i, i+1)
	}
	got := query(t, a.URL, "invented", "{ "+b.String()+" }")
	if n := strings.Count(got.Codes(), "UNAUTHENTICATED"); n != 100 {
		t.Errorf("%d errors: %s", n, got.Body)
	}
	if n := up.Calls().Total; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	if got := query(t, a.URL, upstreamtest.TokenAlice, aliceCode); got.Codes() != "" {
		t.Errorf("alice: %s", got.Body)
	}
}

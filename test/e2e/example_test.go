package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// pageExample is the example of a code on the page of authentik's API, with that primary key instead of 0.
func pageExample(t *testing.T, pk string) string {
	t.Helper()
	before, after, ok := strings.Cut(file(t, "upstream/testdata/page-example.json"), `"pk": 0`)
	if !ok {
		t.Fatal("the example has no pk of 0")
	}
	return before + `"pk": ` + pk + after
}

// exampleServer answers every path that ends in that one with the body, and counts all requests.
func exampleServer(t *testing.T, path, body string) (url string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasSuffix(r.URL.Path, path) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"detail":"Not found."}`)
			return
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

// TestPageExample answers with the example of the page of authentik's API: every field of the page, and null for
// what later releases added.
func TestPageExample(t *testing.T) {
	t.Parallel()
	const want = `{"authorizationCode":{
		"id":"17","pk":17,
		"provider":{"id":"0","pk":0,"name":"string",
			"authenticationFlow":"3fa85f64-5717-4562-b3fc-2c963f66afa6","authorizationFlow":"3fa85f64-5717-4562-b3fc-2c963f66afa6",
			"invalidationFlow":null,"propertyMappings":["3fa85f64-5717-4562-b3fc-2c963f66afa6"],"component":"string",
			"assignedApplicationSlug":"string","assignedApplicationName":"string",
			"assignedBackchannelApplicationSlug":"string","assignedBackchannelApplicationName":"string",
			"verboseName":"string","verboseNamePlural":"string","metaModelName":"string",
			"clientType":"CONFIDENTIAL","grantTypes":null,"clientId":"string","clientSecret":"string",
			"accessCodeValidity":"string","accessTokenValidity":"string","refreshTokenValidity":"string","refreshTokenThreshold":null,
			"includeClaimsInIdToken":true,"signingKey":"3fa85f64-5717-4562-b3fc-2c963f66afa6","encryptionKey":null,
			"redirectUris":[{"matchingMode":null,"url":"string","type":null}],
			"logoutUri":null,"backchannelLogoutUri":null,"logoutMethod":null,
			"subMode":"HASHED_USER_ID","issuerMode":"GLOBAL",
			"jwksSources":["3fa85f64-5717-4562-b3fc-2c963f66afa6"],"jwtFederationSources":["3fa85f64-5717-4562-b3fc-2c963f66afa6"],
			"jwtFederationProviders":null},
		"user":{"id":"0","pk":0,"username":"string","name":"string","isActive":true,
			"lastLogin":"2024-09-27T14:26:18.306000Z","dateJoined":null,"isSuperuser":true,
			"groupIds":["3fa85f64-5717-4562-b3fc-2c963f66afa6"],
			"groups":[{"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6","pk":"3fa85f64-5717-4562-b3fc-2c963f66afa6","numPk":0,
				"name":"string","isSuperuser":true,"parent":"3fa85f64-5717-4562-b3fc-2c963f66afa6","parentName":"string","attributes":{}}],
			"roleIds":null,"roles":null,"email":"user@example.com","avatar":"string","attributes":{},"uid":"string",
			"path":"string","type":"INTERNAL","uuid":"3fa85f64-5717-4562-b3fc-2c963f66afa6",
			"passwordChangeDate":null,"lastUpdated":null},
		"isExpired":true,"expires":"2024-09-27T14:26:18.306000Z","scope":["string"]}}`
	url, calls := exampleServer(t, "/authorization_codes/17/", pageExample(t, "17"))
	a := startApp(t, nil, "AUTHENTIK_URL="+url, "REDACT=none")
	document := strings.NewReplacer("($id: ID!)", "", "$id", `"17"`).Replace(file(t, "graph/testdata/every-field.graphql"))
	got := query(t, a.URL, upstreamtest.TokenAlice, document)
	if len(got.Errors) > 0 {
		t.Fatalf("errors: %s", got.Body)
	}
	data := jsonTree(t, got.Data)
	code := data["authorizationCode"].(map[string]any)
	if code["fetchedAt"] == nil {
		t.Error("no fetchedAt")
	}
	delete(code, "fetchedAt")
	if wanted := jsonTree(t, []byte(want)); !reflect.DeepEqual(data, wanted) {
		t.Errorf("got\n%v\nwant\n%v", data, wanted)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1: the provider is whole", n)
	}
}

func jsonTree(t *testing.T, text []byte) (tree map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return tree
}

// TestExampleOfAnotherPrimaryKey checks that a code is refused that is not the one that was asked for.
func TestExampleOfAnotherPrimaryKey(t *testing.T) {
	t.Parallel()
	for _, pk := range []string{"0", "18", "-17"} {
		url, _ := exampleServer(t, "/authorization_codes/17/", pageExample(t, pk))
		a := startApp(t, nil, "AUTHENTIK_URL="+url)
		got := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCode(id: 17) { pk } }`)
		if string(got.Data) != `{"authorizationCode":null}` || got.Codes() != "UPSTREAM_INVALID_RESPONSE" {
			t.Errorf("%s: %s", pk, got.Body)
		}
	}
}

// TestGenericProviderWithoutARow checks that a partial provider is never read by a primary key that no row has, as
// one in an example of authentik's OpenAPI document, and cannot be asked for by it.
func TestGenericProviderWithoutARow(t *testing.T) {
	t.Parallel()
	for _, pk := range []string{"0", "-1", "-2147483648"} {
		body := fmt.Sprintf(`{"pk":17,"provider":{"pk":%s,"name":"string"},"user":{"pk":0},"is_expired":false}`, pk)
		url, calls := exampleServer(t, "/authorization_codes/17/", body)
		a := startApp(t, nil, "AUTHENTIK_URL="+url)
		got := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCode(id: 17) { provider { id pk name clientId subMode } user { id pk } } }`)
		want := fmt.Sprintf(`{"authorizationCode":{"provider":{"id":"%[1]s","pk":%[1]s,"name":"string","clientId":null,"subMode":null},"user":{"id":"0","pk":0}}}`, pk)
		if string(got.Data) != want || len(got.Errors) > 0 {
			t.Errorf("%s: %s", pk, got.Body)
		}
		got = query(t, a.URL, upstreamtest.TokenAlice, fmt.Sprintf(`{ oauth2Provider(id: %s) { name } }`, pk))
		if string(got.Data) != `{"oauth2Provider":null}` || got.Codes() != "BAD_USER_INPUT" {
			t.Errorf("%s: %s", pk, got.Body)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%s: %d calls, want 1", pk, n)
		}
	}
}

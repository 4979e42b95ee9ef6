package federation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// testGateway sends queries to a gateway in front of the service and the inventory.
func testGateway(t *testing.T, url string) {
	tests := []struct {
		name, token, query string
		data               string
		errors             []string // code and path, sorted
	}{
		{
			"from the service to the other", "demo-alice",
			`{ authorizationCode(id: 17) { id scope user { username department groups { name } } provider { name owner } } }`,
			`{"authorizationCode":{"id":"17","scope":["openid","email","profile"],
				"user":{"username":"alice","department":"department 101","groups":[{"name":"engineers"},{"name":"on-call"}]},
				"provider":{"name":"Grafana","owner":"team 1"}}}`, nil,
		},
		{
			"from the other to the service and back", "demo-root",
			`{ seenCodes(ids: [17]) { id isExpired user { id department } provider { clientId owner } } }`,
			`{"seenCodes":[{"id":"17","isExpired":false,"user":{"id":"101","department":"department 101"},
				"provider":{"clientId":"grafana-client-id","owner":"team 1"}}]}`, nil,
		},
		{
			"one is missing among good ones", "demo-root",
			`{ seenCodes(ids: [17, 404, 18]) { id scope } }`,
			`{"seenCodes":[{"id":"17","scope":["openid","email","profile"]},null,{"id":"18","scope":["openid"]}]}`,
			[]string{`NOT_FOUND ["seenCodes",1]`},
		},
		{
			"each entity has its own error", "demo-alice",
			`{ seenCodes(ids: [500, 18, 17, "x", 403]) { fetchedAt } }`, "",
			[]string{`BAD_USER_INPUT ["seenCodes",3]`, `FORBIDDEN ["seenCodes",4]`, `NOT_FOUND ["seenCodes",1]`, `UPSTREAM_ERROR ["seenCodes",0]`},
		},
		{
			"each field has its own error", "demo-alice",
			`{ mine: authorizationCode(id: 17) { id } bobs: authorizationCode(id: 18) { id } down: authorizationCode(id: 500) { id } }`,
			`{"mine":{"id":"17"},"bobs":null,"down":null}`,
			[]string{`NOT_FOUND ["bobs"]`, `UPSTREAM_ERROR ["down"]`},
		},
		{
			"tokens, with one missing of each", "demo-alice",
			`{ leakedTokens(access: [17, 404], refresh: [18, 17]) {
				access { id isExpired user { department } } refresh { id isExpired revoked provider { owner } } } }`,
			`{"leakedTokens":{"access":[{"id":"17","isExpired":false,"user":{"department":"department 101"}},null],
				"refresh":[null,{"id":"17","isExpired":false,"revoked":false,"provider":{"owner":"team 1"}}]}}`,
			[]string{`NOT_FOUND ["leakedTokens","access",1]`, `NOT_FOUND ["leakedTokens","refresh",0]`},
		},
		{
			"providers, with one missing", "demo-root",
			`{ catalogue(ids: [1, 99, 2]) { id name owner clientId } }`,
			`{"catalogue":[{"id":"1","name":"Grafana","owner":"team 1","clientId":"grafana-client-id"},{"id":"99","name":null,"owner":"team 99","clientId":null},
				{"id":"2","name":"Mobile","owner":"team 2","clientId":"mobile-client-id"}]}`,
			[]string{`NOT_FOUND ["catalogue",1]`},
		},
		{
			"a provider that is not shown", "demo-alice",
			`{ catalogue(ids: [1]) { name owner } authorizationCode(id: 17) { provider { name clientId } } }`,
			`{"catalogue":[{"name":null,"owner":"team 1"}],"authorizationCode":{"provider":{"name":"Grafana","clientId":null}}}`,
			[]string{`FORBIDDEN ["catalogue",0]`},
		},
		{
			"one of each kind by the same id", "demo-alice",
			`{ authorizationCode(id: 17) { __typename id } accessToken(id: 17) { __typename id user { department } } refreshToken(id: 17) { __typename id } }`,
			`{"authorizationCode":{"__typename":"AuthorizationCode","id":"17"},"accessToken":{"__typename":"AccessToken","id":"17",
				"user":{"department":"department 101"}},"refreshToken":{"__typename":"RefreshToken","id":"17"}}`, nil,
		},
		{
			"another caller", "demo-bob",
			`{ alices: authorizationCode(id: 17) { id } mine: authorizationCode(id: 18) { user { username } } }`,
			`{"alices":null,"mine":{"user":{"username":"bob"}}}`,
			[]string{`NOT_FOUND ["alices"]`},
		},
		{
			"without a token", "",
			`{ authorizationCode(id: 17) { id } seenCodes(ids: [17]) { id expires } }`,
			`{"authorizationCode":null,"seenCodes":[{"id":"17","expires":null}]}`,
			[]string{`UNAUTHENTICATED ["authorizationCode"]`, `UNAUTHENTICATED ["seenCodes",0]`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, url, tt.token, tt.query)
			var list []string
			for _, e := range got.Errors {
				list = append(list, e.Extensions.Code+" "+string(e.Path))
				if e.Extensions.RequestID == "" || e.Message == "" {
					t.Errorf("an error without a request id or message: %s", got.body)
				}
			}
			slices.Sort(list)
			if !slices.Equal(list, tt.errors) {
				t.Errorf("errors %q, want %q: %s", list, tt.errors, got.body)
			}
			if tt.data != "" && compact(t, string(got.Data)) != compact(t, tt.data) {
				t.Errorf("got  %s\nwant %s", got.Data, compact(t, tt.data))
			}
		})
	}
	t.Run("a page, and a revocation", func(t *testing.T) { testRevocation(t, url) })
	t.Run("callers at once", func(t *testing.T) { testCallersAtOnce(t, url) })
}

// testRevocation pages to the second of alice's oldest codes and revokes it.
func testRevocation(t *testing.T, url string) {
	type page struct {
		AuthorizationCodes struct {
			TotalCount int
			PageInfo   struct{ EndCursor string }
			Nodes      []struct {
				ID   string
				User struct{ Username, Department string }
			}
		}
	}
	next := func(after string) (p page) {
		t.Helper()
		got := ask(t, url, "demo-alice", `{ authorizationCodes(first: 1, after: `+after+`, order: OLDEST_FIRST) {
			totalCount pageInfo { endCursor } nodes { id user { username department } } } }`)
		if err := json.Unmarshal(got.Data, &p); err != nil || len(p.AuthorizationCodes.Nodes) != 1 || p.AuthorizationCodes.TotalCount < 40 {
			t.Fatalf("%v: %s", err, got.body)
		}
		return p
	}
	first := next("null").AuthorizationCodes
	if first.Nodes[0].ID != "17" || first.Nodes[0].User.Department != "department 101" {
		t.Errorf("%+v", first)
	}
	id := next(strconv.Quote(first.PageInfo.EndCursor)).AuthorizationCodes.Nodes[0].ID
	revoke := `mutation { revokeAuthorizationCode(id: ` + id + `) { id uncertain authorizationCode { user { username department } } } }`
	want := `{"revokeAuthorizationCode":{"id":"` + id + `","uncertain":false,"authorizationCode":{"user":{"username":"alice","department":"department 101"}}}}`
	if got := ask(t, url, "demo-bob", revoke); len(got.Errors) != 1 || got.Errors[0].Extensions.Code != "NOT_FOUND" {
		t.Errorf("another caller: %s", got.body)
	}
	if got := ask(t, url, "demo-alice", revoke); compact(t, string(got.Data)) != compact(t, want) {
		t.Errorf("%s", got.body)
	}
	if got := ask(t, url, "demo-alice", revoke); len(got.Errors) != 1 || got.Errors[0].Extensions.Code != "NOT_FOUND" || string(got.Errors[0].Path) != `["revokeAuthorizationCode"]` {
		t.Errorf("again: %s", got.body)
	}
	if got := next(strconv.Quote(first.PageInfo.EndCursor)).AuthorizationCodes.Nodes[0].ID; got == id {
		t.Errorf("%s is still in the list", id)
	}
}

// testCallersAtOnce: gateways share simultaneous requests, but must not share them between callers. Alice
// and bob send the same query at once, and each sees one code.
func testCallersAtOnce(t *testing.T, url string) {
	const query = `{ seenCodes(ids: [17, 18]) { scope } }`
	sees := map[string]string{
		"demo-alice": `{"seenCodes":[{"scope":["openid","email","profile"]},null]}`,
		"demo-bob":   `{"seenCodes":[null,{"scope":["openid"]}]}`,
	}
	var group sync.WaitGroup
	for range 50 {
		for token, data := range sees {
			group.Go(func() {
				got, err := post(t.Context(), url, token, query)
				if err != nil || !bytes.Equal(got.Data, []byte(data)) || len(got.Errors) != 1 || got.Errors[0].Extensions.Code != "NOT_FOUND" {
					t.Errorf("%s: %v: %s", token, err, got.body)
				}
			})
		}
	}
	group.Wait()
}

// serviceSDL reads the service's schema as a gateway does, without a token.
func serviceSDL(t *testing.T, url string) string {
	t.Helper()
	var data struct {
		Service struct{ SDL string } `json:"_service"`
	}
	got := ask(t, url, "", `{ _service { sdl } }`)
	if err := json.Unmarshal(got.Data, &data); err != nil || data.Service.SDL == "" {
		t.Fatalf("no SDL: %v: %s", err, got.body)
	}
	return data.Service.SDL
}

type reply struct {
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Path       json.RawMessage
		Extensions struct{ Code, RequestID string }
	}
	body []byte
}

func ask(t *testing.T, url, token, query string) reply {
	t.Helper()
	got, err := post(t.Context(), url, token, query)
	if err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	return got
}

var client = &http.Client{Timeout: 30 * time.Second}

func post(ctx context.Context, url, token, query string) (got reply, err error) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		return got, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return got, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return got, err
	}
	defer func() { _ = resp.Body.Close() }()
	if got.body, err = io.ReadAll(resp.Body); err != nil {
		return got, err
	}
	if resp.StatusCode != http.StatusOK {
		return got, errors.New(resp.Status)
	}
	return got, json.Unmarshal(got.body, &got)
}

// compact returns JSON without white space and with sorted keys: gateways choose the order of fields.
func compact(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&v); err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, text))
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/graph"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// fakeGrants is a source of lists whose rows have the keys from 1 up. It records the queries.
type fakeGrants struct {
	graph.NoProviders
	rows int
	row  func(pk upstream.PK) *upstream.Grant

	mu      sync.Mutex
	queries []string
	revoked []string
}

func (g *fakeGrants) grant(pk upstream.PK) *upstream.Grant {
	if g.row != nil {
		return g.row(pk)
	}
	return &upstream.Grant{PK: pk, Scope: []string{}}
}

func (g *fakeGrants) Grant(_ context.Context, _ grants.Caller, _ upstream.Resource, pk upstream.PK) (graph.GrantRead, error) {
	if int(pk) > g.rows {
		return graph.GrantRead{}, &upstream.Error{Kind: upstream.NotFound, Status: 404}
	}
	read := graph.GrantRead{Freshness: grants.Freshness{FreshUntil: time.Now().Add(time.Minute)}}
	read.FetchedAt, read.Value = time.Now(), g.grant(pk)
	return read, nil
}

func (g *fakeGrants) List(_ context.Context, _ grants.Caller, resource upstream.Resource, q upstream.Query) (graph.ListRead, error) {
	g.mu.Lock()
	g.queries = append(g.queries, string(resource)+" "+q.Key())
	g.mu.Unlock()
	start := 0
	if q.After != nil {
		start = q.After.Offset + 1
	}
	rows := &upstream.Rows{Offset: start, Count: g.rows}
	for i := start; i < min(start+q.First, g.rows); i++ {
		pk := upstream.PK(g.rows - i)
		if q.Oldest {
			pk = upstream.PK(i + 1)
		}
		rows.Rows = append(rows.Rows, g.grant(pk))
	}
	rows.More = start+len(rows.Rows) < g.rows
	read := graph.ListRead{Freshness: grants.Freshness{FreshUntil: time.Now().Add(time.Minute)}}
	read.FetchedAt, read.Value = time.Now(), rows
	return read, nil
}

func (g *fakeGrants) Revoke(_ context.Context, _ grants.Caller, resource upstream.Resource, pk upstream.PK) (grants.Revocation, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revoked = append(g.revoked, string(resource)+" "+pk.String())
	if int(pk) > g.rows {
		return grants.Revocation{}, &upstream.Error{Kind: upstream.NotFound, Status: 404}
	}
	if pk == 1 {
		return grants.Revocation{OutcomeUnknown: true}, nil
	}
	read := graph.GrantRead{}
	read.Value = g.grant(pk)
	return grants.Revocation{Grant: &read}, nil
}

// asked returns the queries since its last call.
func (g *fakeGrants) asked() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := strings.Join(g.queries, "; ")
	g.queries = nil
	return all
}

// post sends a document with variables.
func post(t *testing.T, base, document, variables string) answer {
	t.Helper()
	query, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, http.MethodPost, base, `{"query":`+string(query)+`,"variables":`+variables+`}`, jsonHeader)
}

// TestListArguments checks the query for each argument, and which arguments are refused without a query.
func TestListArguments(t *testing.T) {
	g := &fakeGrants{rows: 3}
	base := serve(t, g, graph.Options{})
	const first = "first must be from 1 to 100."
	bad := func(argument string) string {
		return argument + " must be a decimal integer from 1 to 2147483647, without sign, space or leading zero."
	}
	for _, tt := range []struct{ arguments, variables, asked, message string }{
		{"", "", "20 false - 0 0", ""},
		{"(first: 1)", "", "1 false - 0 0", ""},
		{"(first: 100)", "", "100 false - 0 0", ""},
		{"(first: null)", "", "20 false - 0 0", ""},
		{"(first: 0)", "", "", first},
		{"(first: -1)", "", "", first},
		{"(first: 101)", "", "", first},
		{"(first: 2147483647)", "", "", first},
		{"(first: 2147483648)", "", "", "first cannot be this value."},
		{"(first: $n)", `{"n":99999999999}`, "", "first cannot be this value."},
		{"(first: $n)", `{"n":"5"}`, "5 false - 0 0", ""},
		{"(first: $n)", `{"n":5}`, "5 false - 0 0", ""},
		{"(first: $n)", `{}`, "20 false - 0 0", ""},
		{"(first: $n)", `{"n":null}`, "20 false - 0 0", ""},
		{"(first: $n)", `{"n":101}`, "", first},
		{"(user: 5)", "", "20 false - 5 0", ""},
		{`(user: "5", provider: 7)`, "", "20 false - 5 7", ""},
		{`(user: null, provider: null)`, "", "20 false - 0 0", ""},
		{`(user: "")`, "", "", bad("user")},
		{`(user: "x")`, "", "", bad("user")},
		{`(user: "01")`, "", "", bad("user")},
		{`(user: 0)`, "", "", bad("user")},
		{`(user: -5)`, "", "", bad("user")},
		{`(user: "+5")`, "", "", bad("user")},
		{`(user: "5 ")`, "", "", bad("user")},
		{`(user: 2147483648)`, "", "", bad("user")},
		{`(provider: "x")`, "", "", bad("provider")},
		{`(provider: "٥")`, "", "", bad("provider")},
		{"(order: OLDEST_FIRST)", "", "20 true - 0 0", ""},
		{"(order: NEWEST_FIRST)", "", "20 false - 0 0", ""},
		{"(order: null)", "", "20 false - 0 0", ""},
		{"(after: null)", "", "20 false - 0 0", ""},
		{`(after: "")`, "", "", "after must be a cursor of this list, in this order."},
		{`(after: "x")`, "", "", "after must be a cursor of this list, in this order."},
		{`(after: "17")`, "", "", "after must be a cursor of this list, in this order."},
	} {
		for field, resource := range map[string]string{"authorizationCodes": "authorization_codes", "accessTokens": "access_tokens", "refreshTokens": "refresh_tokens"} {
			t.Run(field+tt.arguments+tt.variables, func(t *testing.T) {
				document, variables, column := "{ l: "+field+tt.arguments+" { totalCount } }", "{}", "3"
				if tt.variables != "" {
					column = "18"
					document, variables = "query($n: Int) "+document, tt.variables
				}
				got := post(t, base, document, variables)
				want := `{"data":{"l":{"totalCount":3}}}`
				asked := ""
				if tt.asked != "" {
					asked = resource + " " + tt.asked
				}
				if tt.message != "" {
					want = `{"errors":[{"message":"` + tt.message + `","path":["l"],"locations":[{"line":1,"column":` + column + `}],"extensions":{"code":"BAD_USER_INPUT","requestId":"test"}}],"data":{"l":null}}`
				}
				if strings.Contains(tt.message, "this value") { // an error of GraphQL's own
					want = strings.Replace(want, `"locations":[{"line":1,"column":`+column+`}],`, "", 1)
				}
				if strings.TrimSpace(got.body) != want {
					t.Errorf("got  %s\nwant %s", got.body, want)
				}
				if n := g.asked(); n != asked {
					t.Errorf("asked %q, want %q", n, asked)
				}
			})
		}
	}
	for _, tt := range []struct{ document, variables string }{
		{`{ authorizationCodes(first: "5") { totalCount } }`, `{}`},
		{`{ authorizationCodes(first: 5.0) { totalCount } }`, `{}`},
		{`{ authorizationCodes(order: newest_first) { totalCount } }`, `{}`},
		{`{ authorizationCodes(order: "NEWEST_FIRST") { totalCount } }`, `{}`},
		{`{ authorizationCodes(last: 5) { totalCount } }`, `{}`},
		{`query($n: Int) { authorizationCodes(first: $n) { totalCount } }`, `{"n":5.5}`},
		{`query($n: Int) { authorizationCodes(first: $n) { totalCount } }`, `{"n":true}`},
		{`query($o: GrantOrder) { authorizationCodes(order: $o) { totalCount } }`, `{"o":"NEWEST"}`},
		{`query($o: GrantOrder) { authorizationCodes(order: $o) { totalCount } }`, `{"o":1}`},
		{`query($n: Int) { authorizationCodes(first: $n) { totalCount } }`, `{"n":1e300}`},
	} {
		got := post(t, base, tt.document, tt.variables)
		if !strings.Contains(got.body, `"code":"GRAPHQL_VALIDATION_FAILED"`) || g.asked() != "" {
			t.Errorf("%s %s: %s", tt.document, tt.variables, got.body)
		}
	}
}

// TestOrderInLowerCase sends an enum's value that gqlparser accepts in any case and gqlgen does not.
func TestOrderInLowerCase(t *testing.T) {
	g := &fakeGrants{rows: 3}
	got := post(t, serve(t, g, graph.Options{}), `query($o: GrantOrder) { authorizationCodes(order: $o) { totalCount } }`, `{"o":"newest_first"}`)
	const want = `{"errors":[{"message":"order cannot be this value.","path":["authorizationCodes"],"extensions":{"code":"BAD_USER_INPUT","requestId":"test"}}],"data":{"authorizationCodes":null}}`
	if strings.TrimSpace(got.body) != want || g.asked() != "" {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
}

// pageOf decodes the list that a response has under "l".
type pageOf struct {
	Edges []struct {
		Cursor string
		Node   struct{ ID string }
	}
	Nodes    []struct{ ID string }
	PageInfo struct {
		HasNextPage, HasPreviousPage bool
		StartCursor, EndCursor       *string
	}
	TotalCount int
}

const pageFields = `{ edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount }`

func listed(t *testing.T, base, field, arguments string) pageOf {
	t.Helper()
	got := post(t, base, "{ l: "+field+arguments+" "+pageFields+" }", `{}`)
	var body struct {
		Data struct{ L pageOf }
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || strings.Contains(got.body, `"errors"`) {
		t.Fatalf("%v: %s", err, got.body)
	}
	return body.Data.L
}

// TestConnections checks the pages of each list against the specification of cursor connections.
func TestConnections(t *testing.T) {
	base := serve(t, &fakeGrants{rows: 5}, graph.Options{})
	cursors := map[string]string{}
	for _, field := range []string{"authorizationCodes", "accessTokens", "refreshTokens"} {
		for _, order := range []string{"NEWEST_FIRST", "OLDEST_FIRST"} {
			var ids []string
			after := ""
			for n := 0; ; n++ {
				arguments := fmt.Sprintf(`(first: 2, order: %s%s)`, order, after)
				p := listed(t, base, field, arguments)
				if p.TotalCount != 5 || len(p.Edges) != len(p.Nodes) || p.PageInfo.HasPreviousPage != (n > 0) || p.PageInfo.HasNextPage != (n < 2) {
					t.Fatalf("%s%s: %+v", field, arguments, p)
				}
				for i, edge := range p.Edges {
					if edge.Node.ID != p.Nodes[i].ID || edge.Cursor == "" || cursors[edge.Cursor] != "" {
						t.Errorf("%s%s: edge %d is %+v", field, arguments, i, edge)
					}
					cursors[edge.Cursor] = field + order
					ids = append(ids, edge.Node.ID)
				}
				if *p.PageInfo.StartCursor != p.Edges[0].Cursor || *p.PageInfo.EndCursor != p.Edges[len(p.Edges)-1].Cursor {
					t.Errorf("%s%s: %+v", field, arguments, p.PageInfo)
				}
				if !p.PageInfo.HasNextPage {
					// The page after the last is empty, with null for its cursors.
					p := listed(t, base, field, fmt.Sprintf(`(order: %s, after: %q)`, order, *p.PageInfo.EndCursor))
					if len(p.Edges) != 0 || p.Edges == nil || p.Nodes == nil || p.PageInfo.StartCursor != nil || p.PageInfo.EndCursor != nil || p.PageInfo.HasNextPage || !p.PageInfo.HasPreviousPage {
						t.Errorf("%s, after the last: %+v", field, p)
					}
					break
				}
				after = fmt.Sprintf(`, after: %q`, *p.PageInfo.EndCursor)
			}
			want := "5 4 3 2 1"
			if order == "OLDEST_FIRST" {
				want = "1 2 3 4 5"
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("%s: %s", field, got)
			}
		}
	}
	// A cursor is valid for its own list in its own order.
	for cursor, of := range cursors {
		for _, field := range []string{"authorizationCodes", "accessTokens", "refreshTokens"} {
			for _, order := range []string{"NEWEST_FIRST", "OLDEST_FIRST"} {
				got := post(t, base, fmt.Sprintf(`{ l: %s(order: %s, after: %q) { totalCount } }`, field, order, cursor), `{}`)
				if ok := strings.Contains(got.body, `"totalCount":5`); ok != (field+order == of) {
					t.Errorf("a cursor of %s for %s%s: %s", of, field, order, got.body)
				}
			}
		}
	}
	empty := listed(t, serve(t, &fakeGrants{}, graph.Options{}), "accessTokens", "")
	if empty.Edges == nil || empty.Nodes == nil || empty.TotalCount != 0 || empty.PageInfo.StartCursor != nil || empty.PageInfo.HasNextPage || empty.PageInfo.HasPreviousPage {
		t.Errorf("an empty list: %+v", empty)
	}
}

// rowInFull is the selection of the full query on one grant.
func rowInFull(t *testing.T) string {
	t.Helper()
	text := readFile(t, "testdata/every-field.graphql")
	_, selection, _ := strings.Cut(text, "authorizationCode(id: $id)")
	return strings.TrimSuffix(strings.TrimSpace(selection), "}")
}

// TestComplexityOfLists checks that a page of 100 full rows is allowed, whatever selects it, and three such
// pages are not.
func TestComplexityOfLists(t *testing.T) {
	g := &fakeGrants{rows: 3}
	base := serve(t, g, graph.Options{})
	full := rowInFull(t)
	both := "{ nodes " + full + " edges { cursor node " + full + " } pageInfo { endCursor } totalCount }"
	three := func(arguments string) string {
		return "{ a: authorizationCodes" + arguments + both + " b: authorizationCodes" + arguments + both + " }"
	}
	for _, tt := range []struct {
		name, document, variables string
		over                      bool
	}{
		{"full rows", "{ authorizationCodes(first: 100) { nodes " + full + " } }", `{}`, false},
		{"full rows in edges", "{ authorizationCodes(first: 100) { edges { cursor node " + full + " } pageInfo { endCursor hasNextPage } totalCount } }", `{}`, false},
		{"full rows by a variable", "query($n: Int) { authorizationCodes(first: $n) { nodes " + full + " } }", `{"n":100}`, false},
		{"twice twice", three("(first: 100)"), `{}`, true},
		{"by a variable", "query($n: Int) " + three("(first: $n)"), `{"n":100}`, true},
		{"by a variable that is a text", "query($n: Int) " + three("(first: $n)"), `{"n":"100"}`, true},
		{"by a variable's default", "query($n: Int = 100) " + three("(first: $n)"), `{}`, true},
		{"in a fragment", "query { ...F } fragment F on Query " + three("(first: 100)"), `{}`, true},
		{"few rows", three("(first: 10)"), `{}`, false},
		{"the default", three(""), `{}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := post(t, base, tt.document, tt.variables)
			over := strings.Contains(got.body, `"limit":"MAX_COMPLEXITY"`)
			if over != tt.over || over == strings.Contains(got.body, `"data":{`) {
				t.Errorf("%.300s", got.body)
			}
			if asked := g.asked(); (asked == "") != tt.over {
				t.Errorf("asked %q", asked)
			}
		})
	}
	// Null stands for the default, not for one row.
	small := graph.DefaultLimits()
	small.Complexity = 30
	base = serve(t, g, graph.Options{Limits: small})
	for _, arguments := range []string{"", "(first: 20)", "(first: null)"} {
		if got := post(t, base, "{ authorizationCodes"+arguments+" { nodes { id } } }", `{}`); !strings.Contains(got.body, `MAX_COMPLEXITY`) {
			t.Errorf("%s: %s", arguments, got.body)
		}
	}
}

// TestGrantFragments selects what the three types share with a fragment on their interface.
func TestGrantFragments(t *testing.T) {
	base := serve(t, &fakeGrants{rows: 5}, graph.Options{})
	got := post(t, base, `{ authorizationCode(id: 1) { ...G } accessToken(id: 2) { ...G revoked claims } refreshToken(id: 3) { ...G ... on RefreshToken { revoked } }
		authorizationCodes(first: 1) { nodes { ...G } } }
		fragment G on Grant { __typename id pk isExpired expires scope provider { id } user { id } }`, `{}`)
	row := func(name string, pk int, more string) string {
		return fmt.Sprintf(`{"__typename":"%s","id":"%d","pk":%d,"isExpired":false,"expires":null,"scope":[],"provider":null,"user":null%s}`, name, pk, pk, more)
	}
	want := `{"data":{"authorizationCode":` + row("AuthorizationCode", 1, "") + `,"accessToken":` + row("AccessToken", 2, `,"revoked":null,"claims":null`) +
		`,"refreshToken":` + row("RefreshToken", 3, `,"revoked":null`) + `,"authorizationCodes":{"nodes":[` + row("AuthorizationCode", 5, "") + `]}}}`
	if strings.TrimSpace(got.body) != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
}

// TestListsCountAsCalls checks that a list counts as one upstream call of the operation, and that pages that
// differ in one argument count as several.
func TestListsCountAsCalls(t *testing.T) {
	g := &fakeGrants{rows: 5}
	limits := graph.DefaultLimits()
	limits.UpstreamCalls = 2
	base := serve(t, g, graph.Options{Limits: limits})
	got := post(t, base, `{ a: authorizationCodes { totalCount } b: authorizationCodes(first: 20) { totalCount } c: authorizationCodes(order: NEWEST_FIRST) { totalCount } d: accessTokens { totalCount } }`, `{}`)
	if strings.Contains(got.body, `"errors"`) {
		t.Errorf("%s", got.body)
	}
	if n := strings.Count(g.asked(), ";"); n != 1 {
		t.Errorf("%d lists were asked for, want 2", n+1)
	}
	got = post(t, base, `{ a: authorizationCodes { totalCount } b: authorizationCodes(first: 19) { totalCount } c: authorizationCodes(user: 5) { totalCount } }`, `{}`)
	if strings.Count(got.body, "OPERATION_UPSTREAM_CALLS") == 0 || strings.Count(got.body, `"totalCount":5`) != 2 {
		t.Errorf("%s", got.body)
	}
}

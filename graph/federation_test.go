package graph_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/graph"
	"authentik-graphql/upstream"
)

// TestUnresolvableEntities checks that an entity of a type that other subgraphs may only refer to fails by
// itself, with its index.
func TestUnresolvableEntities(t *testing.T) {
	base := serve(t, source(anyCode), graph.Options{Federation: true})
	for _, name := range referable(t) {
		t.Run(name, func(t *testing.T) {
			got := send(t, "POST", base, `{"query":"query($r:[_Any!]!){_entities(representations:$r){__typename ... on AuthorizationCode{id}}}","variables":{"r":[`+
				`{"__typename":"AuthorizationCode","id":"3"},{"__typename":"`+name+`","id":"1"},{"__typename":"AuthorizationCode","id":2}]}}`, jsonHeader)
			want := `{"errors":[{"message":"This subgraph resolves entities of the types AuthorizationCode, AccessToken, RefreshToken and OAuth2Provider only.",` +
				`"path":["_entities",1],"extensions":{"code":"BAD_USER_INPUT","requestId":"test"}}],` +
				`"data":{"_entities":[{"__typename":"AuthorizationCode","id":"3"},null,{"__typename":"AuthorizationCode","id":"2"}]}}`
			if strings.TrimSpace(got.body) != want {
				t.Errorf("got  %s\nwant %s", got.body, want)
			}
		})
	}
}

// referable lists the types whose key says resolvable: false.
func referable(t *testing.T) (names []string) {
	t.Helper()
	for _, def := range schema().Types {
		key := def.Directives.ForName("key")
		if key == nil {
			continue
		}
		if resolvable := key.Arguments.ForName("resolvable"); resolvable != nil && resolvable.Value.Raw == "false" {
			names = append(names, def.Name)
		} else if !slices.Contains([]string{"AuthorizationCode", "AccessToken", "RefreshToken", "OAuth2Provider"}, def.Name) {
			t.Errorf("%s has a key, but no resolver", def.Name)
		}
	}
	if len(names) != 3 {
		t.Fatalf("got %v", names)
	}
	return names
}

// TestObjectsWithAnIDAreEntities checks that other subgraphs can add fields to every object with an id.
func TestObjectsWithAnIDAreEntities(t *testing.T) {
	for _, def := range schema().Types {
		if own(def) && def.Kind == ast.Object && !strings.HasSuffix(def.Name, "Payload") && def.Fields.ForName("id") != nil && def.Directives.ForName("key") == nil {
			t.Errorf("%s has an id and no @key", def.Name)
		}
	}
}

func TestFederationOff(t *testing.T) {
	for _, introspection := range []bool{false, true} {
		base := serve(t, source(anyCode), graph.Options{SDL: "the SDL", Introspection: introspection})
		for name, query := range map[string]string{
			"_service":  `{ a: _service { sdl } }`,
			"_entities": `query E($r:[_Any!]!){ a: _entities(representations: $r) { __typename } }`,
		} {
			t.Run(fmt.Sprint(name, " with introspection ", introspection), func(t *testing.T) {
				got := send(t, "POST", base, `{"query":"`+query+`","variables":{"r":[{"__typename":"AuthorizationCode","id":"1"}]}}`, jsonHeader)
				if !strings.Contains(got.body, `"message":"Federation is turned off here."`) || !strings.Contains(got.body, `"code":"FEDERATION_DISABLED"`) ||
					strings.Contains(got.body, "the SDL") || strings.Contains(got.body, "AuthorizationCode") {
					t.Errorf("got %s", got.body)
				}
			})
		}
		if got := send(t, "POST", base, oneCode, jsonHeader); !strings.Contains(got.body, `{"authorizationCode":{"id":"17"}}`) {
			t.Errorf("other fields: %s", got.body)
		}
	}
}

// TestEntitiesAtOnce checks that entities are resolved in parallel, but not all at once.
func TestEntitiesAtOnce(t *testing.T) {
	const atOnce = 32
	var running, most, started atomic.Int64
	full := make(chan struct{})
	base := serve(t, source(func(ctx context.Context, cred upstream.Credential, pk upstream.PK) (graph.GrantRead, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if started.Add(1) == atOnce {
			close(full)
		}
		select {
		case <-full:
		case <-ctx.Done():
		}
		return anyCode(ctx, cred, pk)
	}), graph.Options{Federation: true})
	list := ""
	for id := range 100 {
		list += fmt.Sprintf(`{"__typename":"AuthorizationCode","id":%d},`, id+1)
	}
	a := send(t, http.MethodPost, base, `{"query":"query($r:[_Any!]!){_entities(representations:$r){__typename}}","variables":{"r":[`+
		strings.TrimSuffix(list, ",")+`]}}`, map[string]string{"Content-Type": "application/json"})
	if got := strings.Count(a.body, `"AuthorizationCode"`); got != 100 || most.Load() > atOnce {
		t.Errorf("%d entities with at most %d at once, want 100 with %d: %s", got, most.Load(), atOnce, a.body)
	}
}

func TestEntities(t *testing.T) {
	base := serve(t, source(func(ctx context.Context, cred upstream.Credential, pk upstream.PK) (graph.GrantRead, error) {
		if pk == 404 {
			return graph.GrantRead{}, &upstream.Error{Kind: upstream.NotFound, Status: 404}
		}
		return anyCode(ctx, cred, pk)
	}), graph.Options{Federation: true})
	const document = `query($r:[_Any!]!){_entities(representations:$r){... on AuthorizationCode{id}}}`
	many := strings.TrimSuffix(strings.Repeat(`{"__typename":"AuthorizationCode","id":"1"},`, 101), ",")
	tests := []struct{ name, representations, want string }{
		{"order kept, each its own error", `{"__typename":"AuthorizationCode","id":"3"},{"__typename":"AuthorizationCode","id":404},{"__typename":"AuthorizationCode","id":1}`,
			`"path":["_entities",1],"extensions":{"code":"NOT_FOUND","requestId":"test","upstreamStatus":404}}],"data":{"_entities":[{"id":"3"},null,{"id":"1"}]}`},
		{"another type", `{"__typename":"User","id":"1"}`, `"code":"BAD_USER_INPUT"`},
		{"no type", `{"id":"1"}`, `"code":"BAD_USER_INPUT"`},
		{"no id", `{"__typename":"AuthorizationCode"}`, `"code":"BAD_USER_INPUT"`},
		{"alias of an id", `{"__typename":"AuthorizationCode","id":"01"}`, `"code":"BAD_USER_INPUT"`},
		{"a fraction", `{"__typename":"AuthorizationCode","id":1.0}`, `"code":"BAD_USER_INPUT"`},
		{"a list", `[{"__typename":"AuthorizationCode","id":"1"}]`, `"path":["_entities",0],"extensions":{"code":"BAD_USER_INPUT"`},
		{"a text among others", `{"__typename":"AuthorizationCode","id":"1"},"x"`, `"path":["_entities",1],"extensions":{"code":"BAD_USER_INPUT"`},
		{"an object", `{"__typename":"AuthorizationCode","id":{}}`, `"code":"BAD_USER_INPUT"`},
		{"none", ``, `"data":{"_entities":[]}`},
		{"too many", many, `"code":"LIMIT_EXCEEDED"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, "POST", base, `{"query":"`+document+`","variables":{"r":[`+tt.representations+`]}}`, jsonHeader)
			if !strings.Contains(got.body, tt.want) {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

// TestTokenEntities checks that access and refresh tokens are entities, each read from its own resource.
func TestTokenEntities(t *testing.T) {
	g := &fakeGrants{rows: 5, row: func(pk upstream.PK) *upstream.Grant {
		revoked := pk == 2
		return &upstream.Grant{PK: pk, Scope: []string{"openid"}, Revoked: &revoked, Claims: jsontext.Value(`{"n":9007199254740993}`)}
	}}
	base := serve(t, g, graph.Options{Federation: true})
	got := post(t, base, `query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Grant { id scope } ... on AccessToken { revoked claims } ... on RefreshToken { revoked } } }`,
		`{"r":[{"__typename":"AccessToken","id":"2"},{"__typename":"RefreshToken","id":3},{"__typename":"AuthorizationCode","id":"4"},{"__typename":"RefreshToken","id":"9"},{"__typename":"AccessToken","id":"02"}]}`)
	want := `"data":{"_entities":[{"__typename":"AccessToken","id":"2","scope":["openid"],"revoked":true,"claims":{"n":9007199254740993}},` +
		`{"__typename":"RefreshToken","id":"3","scope":["openid"],"revoked":false},{"__typename":"AuthorizationCode","id":"4","scope":["openid"]},null,null]}`
	if !strings.Contains(got.body, want) || !strings.Contains(got.body, `"path":["_entities",3],"extensions":{"code":"NOT_FOUND"`) ||
		!strings.Contains(got.body, `"path":["_entities",4],"extensions":{"code":"BAD_USER_INPUT"`) {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
}

package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/graph"
)

// TestEntitiesOfOthers: types that other subgraphs may only refer to are errors of their own, in
// their place, and cost nobody else an entity.
func TestEntitiesOfOthers(t *testing.T) {
	base := serve(t, source(anyCode), graph.Options{Federation: true})
	for _, name := range referable(t) {
		t.Run(name, func(t *testing.T) {
			got := send(t, "POST", base, `{"query":"query($r:[_Any!]!){_entities(representations:$r){__typename ... on AuthorizationCode{id}}}","variables":{"r":[`+
				`{"__typename":"AuthorizationCode","id":"3"},{"__typename":"`+name+`","id":"1"},{"__typename":"AuthorizationCode","id":2}]}}`, jsonHeader)
			want := `{"errors":[{"message":"This subgraph resolves entities of the types AuthorizationCode, AccessToken and RefreshToken only.",` +
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
		} else if def.Name != "AuthorizationCode" && def.Name != "AccessToken" && def.Name != "RefreshToken" {
			t.Errorf("%s has a key, but no resolver", def.Name)
		}
	}
	if len(names) != 4 {
		t.Fatalf("got %v", names)
	}
	return names
}

// TestObjectsWithAnIDAreEntities: other subgraphs can add fields to all that can be named.
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

package graph_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/graph"
	"authentik-graphql/upstream"
)

func schema() *ast.Schema { return graph.Schema() }

// own reports whether a type is one of schema.graphqls.
func own(def *ast.Definition) bool {
	return !def.BuiltIn && !strings.HasPrefix(def.Name, "_") && def.Position != nil &&
		strings.HasSuffix(def.Position.Src.Name, "schema.graphqls")
}

// shown reports whether a type is one that authentik sends, in every release.
func shown(def *ast.Definition) bool {
	switch def.Name {
	case "AuthorizationCode", "AccessToken", "RefreshToken", "OAuth2Provider", "RedirectURI", "User", "Group", "Role":
		return true
	}
	return false
}

func TestEverythingIsDescribed(t *testing.T) {
	described := 0
	check := func(coordinate, description string) {
		described++
		if len(description) < 15 {
			t.Errorf("%s has no description", coordinate)
		}
	}
	for _, def := range schema().Types {
		if !own(def) {
			continue
		}
		if def.Name != "Query" && def.Name != "Mutation" {
			check(def.Name, def.Description)
		}
		for _, f := range def.Fields {
			if strings.HasPrefix(f.Name, "_") {
				continue
			}
			check(def.Name+"."+f.Name, f.Description)
			for _, arg := range f.Arguments {
				check(def.Name+"."+f.Name+"("+arg.Name+":)", arg.Description)
			}
		}
		for _, v := range def.EnumValues {
			check(def.Name+"."+v.Name, v.Description)
		}
	}
	if described < 100 {
		t.Errorf("only %d things were looked at", described)
	}
}

// TestEveryField checks that the schema has each field that authentik sends in any release up to 2026.8,
// and no other but those made here. Where the name differs, ours follows authentik's after a colon.
func TestEveryField(t *testing.T) {
	fields := map[string]string{
		"AuthorizationCode": "pk provider user is_expired expires scope",
		"AccessToken":       "pk provider user is_expired expires scope revoked id_token:claims",
		"RefreshToken":      "pk provider user is_expired expires scope revoked id_token:claims",
		"OAuth2Provider": "pk name authentication_flow authorization_flow invalidation_flow property_mappings component " +
			"assigned_application_slug assigned_application_name assigned_backchannel_application_slug " +
			"assigned_backchannel_application_name verbose_name verbose_name_plural meta_model_name client_type grant_types client_id " +
			"client_secret access_code_validity access_token_validity refresh_token_validity refresh_token_threshold " +
			"include_claims_in_id_token signing_key encryption_key redirect_uris logout_uri backchannel_logout_uri " +
			"logout_method sub_mode issuer_mode jwks_sources jwt_federation_sources jwt_federation_providers",
		"RedirectURI": "matching_mode url redirect_uri_type:type",
		"User": "pk username name is_active last_login date_joined is_superuser groups:groupIds groups_obj:groups roles:roleIds " +
			"roles_obj:roles email avatar attributes uid path type uuid password_change_date last_updated",
		"Group": "pk num_pk name is_superuser parent parent_name attributes",
		"Role":  "pk name",
	}
	for typeName, list := range fields {
		def := schema().Types[typeName]
		known := map[string]bool{"id": true, "fetchedAt": true}
		for field := range strings.FieldsSeq(list) {
			theirs, ours, renamed := strings.Cut(field, ":")
			if !renamed {
				ours = camelCase(theirs)
			}
			known[ours] = true
			if def.Fields.ForName(ours) == nil {
				t.Errorf("%s has no %s for authentik's %s", typeName, ours, theirs)
			}
		}
		for _, f := range def.Fields {
			if !known[f.Name] {
				t.Errorf("%s.%s is not in the list", typeName, f.Name)
			}
		}
		if def.Fields.ForName("pk") != nil && def.Fields.ForName("id").Type.String() != "ID!" {
			t.Errorf("%s has a pk and no id: ID!", typeName)
		}
	}
}

func camelCase(s string) string {
	words := strings.Split(s, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// TestNonNull checks that only what authentik can never take away is non-null. Otherwise another release
// would turn a whole response into null.
func TestNonNull(t *testing.T) {
	allowed := map[string]bool{"id": true, "pk": true, "isExpired": true, "scope": true, "fetchedAt": true}
	for _, def := range schema().Types {
		if !shown(def) {
			continue
		}
		for _, f := range def.Fields {
			if f.Type.NonNull != allowed[f.Name] {
				t.Errorf("%s.%s: %s", def.Name, f.Name, f.Type)
			}
			if f.Type.Elem != nil && !f.Type.Elem.NonNull {
				t.Errorf("%s.%s has nullable items: %s", def.Name, f.Name, f.Type)
			}
		}
	}
}

func TestEnumsHaveUnknown(t *testing.T) {
	for _, def := range schema().Types {
		if own(def) && def.Kind == ast.Enum && def.Name != "GrantOrder" && def.EnumValues.ForName("UNKNOWN") == nil {
			t.Errorf("%s has no UNKNOWN", def.Name)
		}
	}
}

// TestFullQueries compares the queries for every field with the schema: the Playground's without
// deprecated fields, the golden answers' with them. With -update it writes them, below their comments.
func TestFullQueries(t *testing.T) {
	for name, want := range map[string]string{
		"playground/one-code-in-full.graphql": fullQuery("OneCodeInFull", false),
		"testdata/every-field.graphql":        fullQuery("EveryField", true),
	} {
		text := readFile(t, name)
		comment, got := text[:strings.Index(text, "query ")], text[strings.Index(text, "query "):]
		if got == want {
			continue
		}
		if !*update {
			t.Errorf("%s is not the schema's; run with -update:\n%s", name, got)
		} else if err := os.WriteFile(name, []byte(comment+want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var update = flag.Bool("update", false, "write the files that are made of the schema")

// fullQuery asks for every field of an authorization code.
func fullQuery(name string, deprecated bool) string {
	var selection func(def *ast.Definition, indent string) string
	selection = func(def *ast.Definition, indent string) string {
		text := " {\n"
		for _, f := range def.Fields {
			if f.Directives.ForName("deprecated") != nil && !deprecated {
				continue
			}
			text += indent + "  " + f.Name
			if below := schema().Types[f.Type.Name()]; below.Kind == ast.Object {
				text += selection(below, indent+"  ")
			}
			text += "\n"
		}
		return text + indent + "}"
	}
	return "query " + name + "($id: ID!) {\n  authorizationCode(id: $id)" + selection(schema().Types["AuthorizationCode"], "  ") + "\n}\n"
}

// TestEveryFieldIsMapped selects every field of a code in which no field is null.
func TestEveryFieldIsMapped(t *testing.T) {
	code := fullCode(t)
	code.User.Attributes, code.User.Groups[0].Attributes = jsontext.Value("{}"), jsontext.Value("{}")
	base := serve(t, source(func(context.Context, upstream.Credential, upstream.PK) (graph.GrantRead, error) {
		return graph.GrantRead{Value: code}, nil
	}), graph.Options{})
	if got := post(t, base, readFile(t, "testdata/every-field.graphql"), `{"id":"1"}`); got.status != 200 || strings.Contains(got.body, "null") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

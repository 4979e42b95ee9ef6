package graph_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// TestEveryNullableFieldCanBeRedacted redacts each field of the schema alone and checks that exactly one
// value of a full grant is gone.
func TestEveryNullableFieldCanBeRedacted(t *testing.T) {
	tested := 0
	for _, def := range schema().Types {
		if !shown(def) {
			continue
		}
		resource := map[string]upstream.Resource{"AccessToken": upstream.AccessTokens, "RefreshToken": upstream.RefreshTokens}[def.Name]
		if resource == "" {
			resource = upstream.AuthorizationCodes
		}
		for _, f := range def.Fields {
			if f.Type.NonNull {
				continue
			}
			coordinate := def.Name + "." + f.Name
			tested++
			t.Run(coordinate, func(t *testing.T) {
				r, err := grants.ParseRedaction([]string{"none", coordinate})
				if err != nil {
					t.Fatal(err)
				}
				code := fullCode(t)
				before := leaves(reflect.ValueOf(code))
				r.Apply(resource, code)
				gone := slices.DeleteFunc(before, func(leaf string) bool {
					return slices.Contains(leaves(reflect.ValueOf(code)), leaf)
				})
				if len(gone) == 0 {
					t.Errorf("nothing is redacted")
				}
				root := gone[0] // a whole object takes its members with it
				for strings.Count(root, ".") > depth[def.Name]+1 {
					root = root[:strings.LastIndexByte(root, '.')]
				}
				for _, leaf := range gone {
					if leaf != root && !strings.HasPrefix(leaf, root+".") {
						t.Errorf("%s went with %s", leaf, root)
					}
				}
			})
		}
	}
	if tested < 60 {
		t.Errorf("only %d fields were looked at", tested)
	}
}

// depth is how deep in a grant the objects of a type lie.
var depth = map[string]int{"AuthorizationCode": 0, "AccessToken": 0, "RefreshToken": 0, "OAuth2Provider": 1, "User": 1, "RedirectURI": 2, "Group": 2, "Role": 2}

// leaves lists the paths of all values that are not nil.
func leaves(v reflect.Value) (paths []string) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(path, v.Elem())
			}
		case reflect.Slice:
			if v.Len() > 0 && v.Index(0).Kind() == reflect.Struct {
				walk(path, v.Index(0))
			} else if !v.IsNil() {
				paths = append(paths, path)
			}
		case reflect.Struct:
			if v.Type().PkgPath() != reflect.TypeFor[upstream.Grant]().PkgPath() {
				paths = append(paths, path)
				return
			}
			for _, f := range reflect.VisibleFields(v.Type()) {
				if !f.Anonymous && f.Name != "Audience" { // which goes with clientId and with claims
					walk(path+"."+f.Name, v.FieldByIndex(f.Index))
				}
			}
		default:
			paths = append(paths, path)
		}
	}
	walk("", v)
	return paths
}

// fullCode is a grant in which no field is nil.
func fullCode(t *testing.T) *upstream.Grant {
	t.Helper()
	code := &upstream.Grant{}
	fill(reflect.ValueOf(code).Elem())
	return code
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if field := v.FieldByIndex(f.Index); field.CanSet() {
				fill(field)
			}
		}
	}
}

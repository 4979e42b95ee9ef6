package graph

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	doclimits "authentik-graphql/graph/document"
	"authentik-graphql/graph/generated"
	"authentik-graphql/internal/apierror"
)

// attacks are documents made to be expensive, by the limit that stops each.
func attacks() map[string]string {
	repeat := strings.Repeat
	doubling := func(levels int) string {
		var b strings.Builder
		b.WriteString("{ ...F0 }")
		for i := range levels {
			fmt.Fprintf(&b, " fragment F%d on Query { ...F%d ...F%d }", i, i+1, i+1)
		}
		fmt.Fprintf(&b, " fragment F%d on Query { __typename }", levels)
		return b.String()
	}
	aliases := func(n int, field string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "a%d:%s ", i, field)
		}
		return b.String()
	}
	var operations, unused, spreads strings.Builder
	for i := range 10 {
		fmt.Fprintf(&spreads, "fragment S%d on Query { ...F } ", i)
	}
	for i := range 11 {
		fmt.Fprintf(&operations, "query Q%d { __typename } ", i)
	}
	for i := range 200 {
		fmt.Fprintf(&unused, "fragment F%d on Query { ...F%d } ", i, i+1)
	}
	return map[string]string{
		"MAX_TOKENS":              "{ " + repeat("__typename ", 3001) + "}",
		"MAX_DEPTH":               repeat("{a", 17) + repeat("}", 17),
		"MAX_DEPTH by fragments":  "{ ...F } fragment F on Query { " + repeat("a{...on Query{", 17) + "a" + repeat("}}", 17) + "}",
		"MAX_FIELDS":              doubling(25),
		"MAX_FIELDS unused":       "{ __typename } " + doubling(25)[len("{ ...F0 }"):],
		"MAX_FIELDS overflowing":  doubling(80),
		"MAX_ALIASES":             "{ a { " + aliases(201, "id") + "} }",
		"MAX_ALIASES by spreads":  "{ a {" + repeat(" b { ...F }", 21) + "} } fragment F on X { " + aliases(10, "id") + "}",
		"MAX_ROOT_FIELDS":         "{ " + aliases(101, "__typename") + "}",
		"MAX_REPEATS":             "{ a { " + repeat("id ", 101) + "} }",
		"MAX_REPEATS by parents":  "{" + repeat(" a { id id }", 51) + "}",
		"MAX_REPEATS by spreads":  "{ a {" + repeat(" ...F", 101) + " } } fragment F on X { id }",
		"MAX_DIRECTIVES":          "{ __typename " + repeat("@skip(if: false) ", 101) + "}",
		"MAX_OPERATIONS":          operations.String(),
		"MAX_VALUE_DEPTH list":    "{ a(x: " + repeat("[", 11) + repeat("]", 11) + ") }",
		"MAX_VALUE_DEPTH object":  "{ a(x: " + repeat("{x:", 11) + "1" + repeat("}", 11) + ") }",
		"MAX_VALUE_DEPTH type":    "query($x: " + repeat("[", 11) + "Int" + repeat("]", 11) + ") { a(x: $x) }",
		"MAX_VALUE_DEPTH default": "query($x: Int = " + repeat("[", 11) + repeat("]", 11) + ") { a(x: $x) }",
		"MAX_VALUE_DEPTH deep":    "{ a(x: " + repeat("[", 450) + repeat("]", 450) + ") }",
		"MAX_INTROSPECTION_DEPTH": "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
		"cycle":                   "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
		"cycle of one":            "{ ...A } fragment A on Query { a { ...A } }",
		"cycle unused":            "{ a } fragment A on Query { ...A }",
		"MAX_FIELDS in a chain":   "{ a } " + unused.String(),
		"MAX_FIELDS by values":    "{ ...F } fragment F on Query { a(x: [" + repeat("1 ", 1000) + "]) } " + spreads.String(),
		"MAX_NAME of an alias":    "{ " + repeat("a", 129) + ": a }",
		"MAX_NAME of a field":     "{ " + repeat("a", 129) + " }",
		"MAX_NAME of an argument": "{ a(" + repeat("a", 129) + ": 1) }",
		"MAX_NAME of a variable":  "query($" + repeat("a", 129) + ": Int) { a }",
		"MAX_NAME of a type":      "query($a: " + repeat("a", 129) + ") { a }",
		"MAX_NAME of a fragment":  "{ a } fragment " + repeat("a", 129) + " on Query { a }",
		"MAX_NAME of a condition": "{ ... on " + repeat("a", 129) + " { a } }",
		"MAX_NAME of a directive": "{ a @" + repeat("a", 129) + " }",
		"MAX_NAME of a value":     "{ a(x: " + repeat("a", 129) + ") }",
		"MAX_NAME of a member":    "{ a(x: {" + repeat("a", 129) + ": 1}) }",
		"MAX_NAME of a query":     "query " + repeat("a", 129) + " { a }",
	}
}

func TestGuard(t *testing.T) {
	for name, document := range attacks() {
		t.Run(name, func(t *testing.T) {
			d := testDocuments(t)
			_, errs := d.parse(document)
			setting, _, _ := strings.Cut(name, " ")
			switch {
			case setting == "cycle":
				if len(errs) != 1 || !strings.Contains(errs[0].Message, "within itself") {
					t.Fatal(errs)
				}
			default:
				var e *apierror.Error
				if len(errs) != 1 || !errors.As(errs[0], &e) || e.Limit != setting || e.Code != apierror.LimitExceeded {
					t.Fatal(errs)
				}
				if !strings.Contains(e.Message, setting+" allows, which is ") {
					t.Errorf("the message does not name the limit and its value: %s", e.Message)
				}
			}
		})
	}
}

// TestGuardAtTheLimit: what is exactly at a limit passes.
func TestGuardAtTheLimit(t *testing.T) {
	repeat := strings.Repeat
	for name, document := range map[string]string{
		"tokens":              "{" + repeat(" __typename @x", 100) + "}",
		"depth":               repeat("{a", 16) + repeat("}", 16),
		"repeats":             "{ a { " + repeat("id ", 100) + "} }",
		"value depth":         "query($x: " + repeat("[", 10) + "Int!" + repeat("]", 10) + ") { a(x: " + repeat("[", 10) + repeat("]", 10) + ") }",
		"introspection depth": "{ __schema { types { fields { type { fields { name } } } } } }",
	} {
		if _, errs := testDocuments(t).parse(document); errs != nil {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func testDocuments(t testing.TB) *documents {
	t.Helper()
	d, err := newDocuments(generated.NewExecutableSchema(generated.Config{}).Schema(), DefaultLimits(), true, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// steps runs the guard and says how many steps it took, and how many it may take.
func steps(doc *ast.QueryDocument, tokens int) (took, may int) {
	g := newGuard(int(DefaultLimits().Depth))
	_ = g.inspect(doc)
	return g.steps, tokens + 2*doclimits.MaxFields
}

// TestGuardIsLinear counts steps: doubling the size of each attack never more than doubles them,
// apart from the constant MaxFields.
func TestGuardIsLinear(t *testing.T) {
	for name, document := range attacks() {
		doc, err := parser.ParseQuery(&ast.Source{Input: document})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if took, may := steps(doc, len(document)); took > may {
			t.Errorf("%s: %d steps for %d bytes, may be %d", name, took, len(document), may)
		}
	}
}

// FuzzGuard: for any document the guard's steps are linear, and what it lets through is validated
// without comparing fields more often than MaxRepeats allows.
func FuzzGuard(f *testing.F) {
	for _, document := range attacks() {
		f.Add(document)
	}
	f.Add(`query($r:[_Any!]!){_entities(representations:$r){...on AuthorizationCode{id provider{name}}}}`)
	d := testDocuments(f)
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, int(d.limits.Tokens))
		if err != nil {
			return
		}
		if took, may := steps(doc, int(d.limits.Tokens)); took > may {
			t.Fatalf("%d steps, may be %d", took, may)
		}
		p, errs := d.parse(text)
		if errs != nil {
			return
		}
		if valid, errs := d.validate(p); errs == nil {
			for _, op := range p.tree.Operations {
				if got := complexity(valid.costs[op], nil, int(d.limits.Complexity)); got < 0 || got > int(d.limits.Complexity)+1 {
					t.Fatalf("complexity %d", got)
				}
			}
		} else if len(errs) > doclimits.MaxErrors+1 {
			t.Fatalf("%d errors", len(errs))
		}
	})
}

// TestOwnFieldsAreNoIntrospection: the guard knows introspection lists by their names alone.
func TestOwnFieldsAreNoIntrospection(t *testing.T) {
	for _, typ := range generated.NewExecutableSchema(generated.Config{}).Schema().Types {
		for _, field := range typ.Fields {
			if introspectionLists[field.Name] && typ.Name != "__Type" {
				t.Errorf("%s.%s has the name of a list of introspection", typ.Name, field.Name)
			}
		}
	}
}

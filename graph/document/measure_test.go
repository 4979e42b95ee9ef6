package document

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	gqlparser "github.com/vektah/gqlparser/v2/parser"

	"authentik-graphql/internal/apierror"
)

// attacks are documents that are made to be expensive, by the limit that stops each.
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

func TestLimits(t *testing.T) {
	for name, document := range attacks() {
		t.Run(name, func(t *testing.T) {
			_, errs := testParser().parse(document)
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

// TestAtTheLimit parses documents that are exactly at a limit.
func TestAtTheLimit(t *testing.T) {
	repeat := strings.Repeat
	for name, document := range map[string]string{
		"tokens":              "{" + repeat(" __typename @x", 100) + "}",
		"depth":               repeat("{a", 16) + repeat("}", 16),
		"repeats":             "{ a { " + repeat("id ", 100) + "} }",
		"value depth":         "query($x: " + repeat("[", 10) + "Int!" + repeat("]", 10) + ") { a(x: " + repeat("[", 10) + repeat("]", 10) + ") }",
		"introspection depth": "{ __schema { types { fields { type { fields { name } } } } } }",
	} {
		if _, errs := testParser().parse(document); errs != nil {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// steps measures a document and returns how many steps that took, and how many it may take.
func steps(doc *ast.QueryDocument, tokens int) (took, most int) {
	v := newVisitor(int(defaultLimits().Depth))
	_ = v.measure(doc)
	return v.steps, tokens + 2*MaxFields
}

// TestMeasuringIsLinear counts steps: they grow with the document, apart from a constant.
func TestMeasuringIsLinear(t *testing.T) {
	for name, document := range attacks() {
		doc, err := gqlparser.ParseQuery(&ast.Source{Input: document})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if took, most := steps(doc, len(document)); took > most {
			t.Errorf("%s: %d steps for %d bytes, may be %d", name, took, len(document), most)
		}
	}
}

// FuzzMeasure measures any document: the steps are linear, and the cost and the errors of what is
// within the limits are bounded.
func FuzzMeasure(f *testing.F) {
	for _, document := range attacks() {
		f.Add(document)
	}
	f.Add(`query($r:[_Any!]!){_entities(representations:$r){...on AuthorizationCode{id provider{name}}}}`)
	p, limits := testParser(), defaultLimits()
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := gqlparser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, int(limits.Tokens))
		if err != nil {
			return
		}
		if took, most := steps(doc, int(limits.Tokens)); took > most {
			t.Fatalf("%d steps, may be %d", took, most)
		}
		parsed, errs := p.parse(text)
		if errs != nil {
			return
		}
		valid, errs := p.validate(parsed)
		if len(errs) > MaxErrors+1 {
			t.Fatalf("%d errors", len(errs))
		}
		if errs != nil {
			return
		}
		for _, op := range valid.Operations {
			if got := complexity(op.costs, nil, int(limits.Complexity)); got < 0 || got > int(limits.Complexity)+1 {
				t.Fatalf("complexity %d", got)
			}
		}
	})
}

// TestOwnFieldsAreNoIntrospection checks that the names of introspection lists identify them.
func TestOwnFieldsAreNoIntrospection(t *testing.T) {
	for _, typ := range testSchema().Types {
		for _, field := range typ.Fields {
			if introspectionLists[field.Name] && typ.Name != "__Type" {
				t.Errorf("%s.%s has the name of a list of introspection", typ.Name, field.Name)
			}
		}
	}
}

package document

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/graph/generated"
)

func TestComplexity(t *testing.T) {
	standard, err := os.ReadFile("testdata/introspection.graphql")
	if err != nil {
		t.Fatal(err)
	}
	limit := int(defaultLimits().Complexity)
	for _, tt := range []struct {
		name, document string
		variables      map[string]any
		least, most    int
	}{
		{"a field", `{ __typename }`, nil, 1, 1},
		{"a small query", `{ authorizationCode(id: 1) { id user { name } } }`, nil, 4, 4},
		{"fragments count where they are spread", `{ a: authorizationCode(id: 1) { ...F } b: authorizationCode(id: 2) { ...F } } fragment F on AuthorizationCode { id pk }`, nil, 6, 6},
		{"the full query", fullQuery(t), nil, 60, 120},
		{"introspection as GraphiQL asks", string(standard), nil, 1000, limit},
		{"entities", `query($r: [_Any!]!) { _entities(representations: $r) { ... on AuthorizationCode { id pk } } }`, map[string]any{"r": make([]any, 100)}, 1201, 1201},
		{"entities in the document", `{ _entities(representations: [{}, {}]) { ... on AuthorizationCode { id pk } } }`, nil, 25, 25},
		{"a hundred full codes", entitiesInFull(t), map[string]any{"r": make([]any, 100)}, 5000, limit},
		{"introspection repeated", repeatedIntrospection(20), nil, limit + 1, limit + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := mustParse(t, tt.document)
			got := complexity(doc.Operations[doc.AST.Operations[0]].costs, tt.variables, limit)
			if got < tt.least || got > tt.most {
				t.Errorf("complexity %d, want %d to %d", got, tt.least, tt.most)
			}
		})
	}
}

// entitiesInFull is the full query's selection on entities.
func entitiesInFull(t *testing.T) string {
	text := fullQuery(t)
	selection := text[strings.Index(text, ") {\n")+2:]
	selection = selection[strings.Index(selection, "{") : len(selection)-2]
	selection = selection[strings.Index(selection, "authorizationCode"):]
	selection = selection[strings.Index(selection, "{"):]
	return "query($r: [_Any!]!) { _entities(representations: $r) { ... on AuthorizationCode " + selection + " } }"
}

func repeatedIntrospection(n int) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, " a%d: __schema { types { name fields { name description args { name description } type { name ofType { name ofType { name } } } } } }", i)
	}
	b.WriteString(" }")
	return b.String()
}

func fullQuery(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../playground/one-code-in-full.graphql")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func mustParse(t *testing.T, text string) *Document {
	t.Helper()
	p := testParser()
	parsed, errs := p.parse(text)
	if errs != nil {
		t.Fatal(errs)
	}
	doc, errs := p.validate(parsed)
	if errs != nil {
		t.Fatal(errs)
	}
	return doc
}

func testSchema() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }

func testParser() parser { return newParser(testSchema(), defaultLimits(), true) }

// defaultLimits are the limits without settings.
func defaultLimits() (l Limits) {
	if err := env.ParseWithOptions(&l, env.Options{Environment: map[string]string{}}); err != nil {
		panic(err)
	}
	return l
}

// validationErrors are those of an invalid document.
func validationErrors(t *testing.T, p parser, text string) gqlerror.List {
	t.Helper()
	parsed, errs := p.parse(text)
	if errs != nil {
		t.Fatal(errs)
	}
	if _, errs = p.validate(parsed); errs == nil {
		t.Fatalf("%s is valid", text)
	}
	return errs
}

func TestFewErrorsAreReported(t *testing.T) {
	var b strings.Builder
	for i := range 90 {
		fmt.Fprintf(&b, "unknown%d ", i)
	}
	errs := validationErrors(t, testParser(), "{"+b.String()+"}")
	if len(errs) != MaxErrors+1 {
		t.Fatalf("%d errors: %v", len(errs), errs)
	}
	if last := errs[len(errs)-1].Message; !strings.Contains(last, "MAX_ERRORS allows, which is 10") {
		t.Errorf("the last error is %q", last)
	}
}

func TestSuggestions(t *testing.T) {
	for document, suggested := range map[string]bool{
		`{ authorizationCod { id } }`:         true,
		`{ authorizationCode(ID: 1) { id } }`: true,
		`{ authorizationCode(id: 1) }`:        true,
		`{ ... on AuthorizationCod { id } }`:  false, // gqlparser suggests no types here
		`query($x: Strin) { a: __typename }`:  false,
	} {
		for _, suggest := range []bool{suggested, false} {
			errs := validationErrors(t, newParser(testSchema(), defaultLimits(), suggest), document)
			if got := strings.Contains(errs.Error(), "id you mean"); got != suggest {
				t.Errorf("%s, suggestions %t: %v", document, suggest, errs)
			}
		}
	}
}

// TestWeight compares the memory of documents with their weight, for the kinds that take most memory for
// their length. Plans are measured in package graph.
func TestWeight(t *testing.T) {
	shapes := map[string]func(i int) string{
		"aliases": func(i int) string {
			return fmt.Sprintf("#%d\n{%s}", i, strings.Repeat(" ...on Query{a:__typename}", 60))
		},
		"variables": func(i int) string { return fmt.Sprintf("#%d\nquery(%s){__typename}", i, manyVariables(90)) },
		"values": func(i int) string {
			return fmt.Sprintf("#%d\n{_entities(representations:[%s]){__typename}}", i, strings.Repeat("[1]", 900))
		},
		"text": func(i int) string { return fmt.Sprintf("#%d%s\n{__typename}", i, strings.Repeat(" text", 4000)) },
	}
	p := testParser()
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			const n = 60
			kept := make([]*Document, n)
			counted := uint64(0)
			before := heap()
			for i := range kept {
				parsed, errs := p.parse(shape(i))
				if errs != nil {
					t.Fatal(errs)
				}
				// Not all of these are valid, but validation adds to their memory.
				if kept[i], errs = p.validate(parsed); errs != nil {
					kept[i] = &Document{Text: parsed.text, AST: parsed.ast, size: parsed.size}
				}
				counted += uint64(kept[i].weight())
			}
			took := heap() - before
			runtime.KeepAlive(kept)
			t.Logf("%d bytes of text: %d taken, %d counted", len(kept[0].Text), took/n, counted/n)
			if took > counted {
				t.Errorf("a document takes %d bytes and is counted as %d", took/n, counted/n)
			}
		})
	}
}

func manyVariables(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "$v%d:Int ", i)
	}
	return b.String()
}

// TestFewPlansAreKept checks that a client cannot make a plan for each of its variables' values.
func TestFewPlansAreKept(t *testing.T) {
	doc := mustParse(t, `query($a: Boolean!, $b: Boolean!, $c: Boolean!) { x: __typename @skip(if: $a) y: __typename @skip(if: $b) z: __typename @skip(if: $c) u: __typename }`)
	op := doc.Operations[doc.AST.Operations[0]]
	made, given := 0, 0
	for i := range 16 {
		variables := map[string]any{"a": i&1 > 0, "b": i&2 > 0, "c": i&4 > 0}
		if op.Plan(variables, func() any { made++; return made }) != nil {
			given++
		}
	}
	if made != maxPlans || given != 2*maxPlans {
		t.Errorf("%d plans were made, and %d of 16 operations had one", made, given)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

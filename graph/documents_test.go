package graph

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	doclimits "authentik-graphql/graph/document"
)

func TestComplexity(t *testing.T) {
	standard, err := os.ReadFile("testdata/introspection.graphql")
	if err != nil {
		t.Fatal(err)
	}
	full := "one-code-in-full.graphql"
	limit := int(DefaultLimits().Complexity)
	for _, tt := range []struct {
		name, document string
		variables      map[string]any
		least, most    int
	}{
		{"a field", `{ __typename }`, nil, 1, 1},
		{"a small query", `{ authorizationCode(id: 1) { id user { name } } }`, nil, 4, 4},
		{"fragments count where they are spread", `{ a: authorizationCode(id: 1) { ...F } b: authorizationCode(id: 2) { ...F } } fragment F on AuthorizationCode { id pk }`, nil, 6, 6},
		{"the full query", playgroundDocument(full), nil, 60, 120},
		{"introspection as GraphiQL asks", string(standard), nil, 1000, limit},
		{"entities", `query($r: [_Any!]!) { _entities(representations: $r) { ... on AuthorizationCode { id pk } } }`, map[string]any{"r": make([]any, 100)}, 1201, 1201},
		{"entities in the document", `{ _entities(representations: [{}, {}]) { ... on AuthorizationCode { id pk } } }`, nil, 25, 25},
		{"a hundred full codes", entitiesInFull(), map[string]any{"r": make([]any, 100)}, 5000, limit},
		{"introspection repeated", repeatedIntrospection(20), nil, limit + 1, limit + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := mustPrepare(t, testDocuments(t), tt.document)
			got := complexity(doc.costs[doc.ast.Operations[0]], tt.variables, limit)
			if got < tt.least || got > tt.most {
				t.Errorf("complexity %d, want %d to %d", got, tt.least, tt.most)
			}
		})
	}
}

// entitiesInFull is the full query's selection on entities.
func entitiesInFull() string {
	text := playgroundDocument("one-code-in-full.graphql")
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

func mustPrepare(t testing.TB, d *documents, text string) *document {
	t.Helper()
	doc, _, errs := d.prepare(text, sha256.Sum256([]byte(text)))
	if errs != nil {
		t.Fatal(errs)
	}
	return doc
}

func TestFewErrorsAreTold(t *testing.T) {
	d := testDocuments(t)
	var b strings.Builder
	for i := range 90 {
		fmt.Fprintf(&b, "unknown%d ", i)
	}
	_, tree, errs := d.prepare("{"+b.String()+"}", documentHash{})
	if tree == nil || len(errs) != doclimits.MaxErrors+1 {
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
			d := testDocuments(t)
			d.suggest = suggest
			_, _, errs := d.prepare(document, documentHash{})
			if len(errs) == 0 {
				t.Fatalf("%s is valid", document)
			}
			if got := strings.Contains(errs.Error(), "id you mean"); got != suggest {
				t.Errorf("%s, suggestions %t: %v", document, suggest, errs)
			}
		}
	}
}

// TestWeightOfDocuments keeps many documents of the kinds that take most memory for their length,
// and compares what they take with what is counted for them.
func TestWeightOfDocuments(t *testing.T) {
	shapes := map[string]func(i int) string{
		"aliases": func(i int) string {
			return fmt.Sprintf("#%d\n{%s}", i, strings.Repeat(" ...on Query{a:__typename}", 60))
		},
		"variables": func(i int) string { return fmt.Sprintf("#%d\nquery(%s){__typename}", i, manyVariables(90)) },
		"values": func(i int) string {
			return fmt.Sprintf("#%d\n{_entities(representations:[%s]){__typename}}", i, strings.Repeat("[1]", 900))
		},
		"plans": func(i int) string {
			var b strings.Builder
			fmt.Fprintf(&b, "#%d\nquery($a:Boolean!$b:Boolean!){", i)
			for n := range 90 {
				fmt.Fprintf(&b, " a%d:refreshToken(id:1){...F}", n)
			}
			return b.String() + "} fragment F on RefreshToken{id pk scope @skip(if:$a) expires @skip(if:$b) claims user{id pk name email uid path type uuid __typename} provider{id pk name component subMode signingKey}}"
		},
		"plans of lists": func(i int) string {
			return fmt.Sprintf("#%d\nquery($a:Boolean!$b:Boolean!){x:__typename @skip(if:$a) y:__typename @skip(if:$b)%s}", i, manyLists(90)) +
				" fragment F on AccessTokenConnection{edges{node{user{groups{name}}provider{redirectUris{url}}}}nodes{scope user{groups{id}roles{id}}}}"
		},
		"operations": func(i int) string {
			var b strings.Builder
			fmt.Fprintf(&b, "#%d\n", i)
			for n := range 10 {
				fmt.Fprintf(&b, " query q%d($a:Boolean!$b:Boolean!){__typename @skip(if:$a) u:__typename @skip(if:$b) v:__typename}", n)
			}
			return b.String()
		},
		"text": func(i int) string { return fmt.Sprintf("#%d%s\n{__typename}", i, strings.Repeat(" text", 4000)) },
	}
	planner := testPlanner(t, nil)
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			d := testDocuments(t)
			const n = 60
			kept := make([]*document, n)
			counted := uint64(0)
			before := heap()
			for i := range kept {
				text := shape(i)
				p, errs := d.parse(text)
				if errs != nil {
					t.Fatal(errs)
				}
				// Not all of these are valid; what validation leaves in the tree counts as well.
				if kept[i], errs = d.validate(p); errs != nil {
					kept[i] = &document{text: text, ast: p.tree, nodes: p.nodes}
				}
				for _, op := range kept[i].ast.Operations {
					for n := range maxPlans {
						if kept[i].plans[op] != nil {
							planner.plan(kept[i], op, map[string]any{"a": n&1 > 0, "b": n&2 > 0})
						}
					}
				}
				counted += uint64(kept[i].weight())
			}
			took := heap() - before
			runtime.KeepAlive(kept)
			t.Logf("%d bytes of text: %d taken, %d counted", len(kept[0].text), took/n, counted/n)
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

func manyLists(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d:accessTokens{...F}", i)
	}
	return b.String()
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package playground

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// placeholderAuthorization stands in the headers pane until the user pastes a token. The page never
// sends it.
const placeholderAuthorization = "Bearer <your authentik API token>"

// config is what playground.js reads from the page.
type config struct {
	Endpoint      string `json:"endpoint"`
	Authorization string `json:"authorization"`
	Placeholder   bool   `json:"placeholder"` // Authorization is not a token
	Tabs          []tab  `json:"tabs"`
}

// tab is one tab. GraphiQL titles it with the name of the operation.
type tab struct {
	Query     string `json:"query"`
	Variables string `json:"variables"`
}

// config returns the page's configuration as JSON.
func (o Options) config() string {
	id := o.ExampleID
	if id == "" {
		id = "1"
	}
	variables := func(id string) string { return "{\n  \"id\": " + quoteJSON(id) + "\n}" }
	c := config{
		Endpoint:      "graphql",
		Authorization: o.Authorization,
		Placeholder:   o.Authorization == "",
		Tabs: []tab{
			{Query: exampleQuery("one-code.graphql"), Variables: variables(id)},
			{Query: exampleQuery("one-code-in-full.graphql"), Variables: variables(id)},
			{Query: exampleQuery("page-of-codes.graphql"), Variables: "{\n  \"first\": 5,\n  \"after\": null\n}"},
			{Query: exampleQuery("revoke-code.graphql"), Variables: variables(o.RevokeID)},
		},
	}
	if c.Placeholder {
		c.Authorization = placeholderAuthorization
	}
	if len(o.Errors) > 0 {
		c.Tabs = append(c.Tabs, tab{Query: errorsQuery(o.Errors)})
	}
	return quoteJSON(c)
}

// exampleQuery returns an embedded query. It panics if there is none of that name.
func exampleQuery(name string) string {
	document, err := embedded.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("playground: embedded files: %v", err))
	}
	return strings.TrimSpace(string(document))
}

// errorsQuery returns a query that provokes each error once.
func errorsQuery(examples []ErrorExample) string {
	var b strings.Builder
	b.WriteString("# Each of these fails in its own way:\n# compare the errors' `extensions.code`.\n")
	b.WriteString("query DemoErrors {\n")
	for _, e := range examples {
		// A JSON string is a GraphQL string as well.
		fmt.Fprintf(&b, "  %s: authorizationCode(id: %s) {\n    id\n  }\n", e.Code, quoteJSON(e.ID))
	}
	b.WriteString("}")
	return b.String()
}

// quoteJSON encodes strings and structs of them, which cannot fail.
func quoteJSON(v any) string {
	b, _ := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	return string(b)
}

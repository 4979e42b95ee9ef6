//go:build linux

package attacks

import (
	"fmt"
	"strings"
)

// documentRows attack with a document.
func documentRows() []row {
	repeat := strings.Repeat
	limit, invalid, unparsed := "200 LIMIT_EXCEEDED", "200 GRAPHQL_VALIDATION_FAILED", "200 GRAPHQL_PARSE_FAILED"
	document := func(name, want, text string) row { return row{name: name, send: post(query(text)), want: want} }
	return []row{
		document("20,000 unknown names", limit, "{"+repeat("x ", 20000)+"}"),
		document("2,900 unknown names", limit, "{"+numbered(2900, "x%d", " ")+"}"),
		document("99 unknown names", "200 GRAPHQL_VALIDATION_FAILED+LIMIT_EXCEEDED", "{"+numbered(99, "autorizationCod%d", " ")+"}"),
		document("a leaf 5,000 times", limit, "{"+repeat("__typename ", 5000)+"}"),
		document("a leaf 2,900 times", limit, "{"+repeat("__typename ", 2900)+"}"),
		document("a leaf 20,000 times, short", limit, "{"+repeat("a ", 20000)+"}"),
		row{name: "the most pairs to compare", want: "200 NOT_FOUND", maxCalls: 1, send: post(query("{ a: authorizationCode(id: 404) {" + numbered(29, "user { "+repeat("id pk ", 2)+"}", " ") + "} }"))},
		document("repeated parents", limit, "{"+repeat(" authorizationCode(id: 404) { user { id id id } }", 99)+"}"),
		document("1,500 aliases of a code", limit, "{"+numbered(1500, "a%d:authorizationCode(id:%[1]d){id}", " ")+"}"),
		document("101 aliases of a code", limit, "{"+numbered(101, "a%d:authorizationCode(id:9%[1]d){id}", " ")+"}"),
		document("aliases within a code", limit, "{ authorizationCode(id: 404) { user {"+numbered(300, "a%d:attributes", " ")+"} } }"),
		document("fragments that double", limit, doubling(25)),
		document("fragments that double 80 times", limit, doubling(80)),
		document("unused fragments that double", limit, "{ __typename } "+strings.TrimPrefix(doubling(25), "{ ...F0 }")),
		document("a fragment within itself", invalid, "{ ...F } fragment F on Query { ...F }"),
		document("fragments in a circle", invalid, "{ ...F0 } "+numbered(100, "fragment F%d on Query { ...G%[1]d } fragment G%[1]d on Query { ...F%[1]d }", " ")),
		document("a long chain of fragments", "200 data|200 LIMIT_EXCEEDED", "{ ...F0 } "+chain(300)),
		document("400 unused fragments", limit+"|200 GRAPHQL_VALIDATION_FAILED+LIMIT_EXCEEDED", "{ __typename } "+numbered(400, "fragment F%d on Query { __typename }", " ")),
		document("5,000 levels of fields", unparsed+"|200 LIMIT_EXCEEDED", repeat("{a", 5000)+repeat("}", 5000)),
		document("900 levels of fields", limit, repeat("{a", 900)+repeat("}", 900)),
		document("900 levels of inline fragments", "200 LIMIT_EXCEEDED|200 data", "{"+repeat("...{", 900)+"__typename"+repeat("}", 901)),
		document("20,000 levels of lists", unparsed+"|200 LIMIT_EXCEEDED", "{ authorizationCode(id: "+repeat("[", 20000)+repeat("]", 20000)+") { id } }"),
		document("900 levels of lists", limit, "{ authorizationCode(id: "+repeat("[", 900)+repeat("]", 900)+") { id } }"),
		document("500 levels of objects", limit, "{ authorizationCode(id: "+repeat("{a:", 500)+"1"+repeat("}", 500)+") { id } }"),
		document("900 levels of types", limit, "query($a: "+repeat("[", 900)+"Int"+repeat("]", 900)+") { __typename }"),
		document("20,000 levels of types", unparsed+"|200 LIMIT_EXCEEDED", "query($a: "+repeat("[", 20000)+"Int"+repeat("]", 20000)+") { __typename }"),
		document("700 variables", invalid+"|200 GRAPHQL_VALIDATION_FAILED+LIMIT_EXCEEDED", "query("+numbered(700, "$v%d:Int", " ")+") { __typename }"),
		document("2,000 directives", limit, "{ __typename "+repeat("@a ", 2000)+"}"),
		document("100 unknown directives", "200 GRAPHQL_VALIDATION_FAILED+LIMIT_EXCEEDED", "{ __typename "+numbered(100, "@a%d", " ")+"}"),
		document("500 operations", limit, numbered(500, "query Q%d { __typename }", " ")),
		document("500 operations without a name", limit, repeat("{ __typename } ", 500)),
		document("introspection in circles", limit, "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"),
		row{name: "the whole schema 12 times", want: "200 data|" + limit, maxSize: 8 << 20, send: post(query("{" + numbered(12, "a%d: __schema { types { name description fields { name description args { name description } type { name } } } }", " ") + "}"))},
		document("introspection many times", limit, "{"+numbered(90, "a%d: __schema { types { name fields { name args { name } type { name } } } }", " ")+"}"),
		document("introspection of possible types in circles", limit, "{ __type(name: \"_Entity\") { possibleTypes { interfaces { possibleTypes { name } } } } }"),
		document("60,000 blanks", invalid, repeat(" ", 60000)),
		document("a comment of 60,000 bytes", "200 data", "#"+repeat("a", 60000)+"\n{ __typename }"),
		document("15,000 comments", limit, repeat("#a\n", 15000)+"{ __typename }"),
		document("60,000 commas", "200 data", repeat(",", 60000)+"{ __typename }"),
		document("a string without an end", unparsed, `{ authorizationCode(id: "`+repeat("a", 60000)),
		document("a block string without an end", unparsed, `{ authorizationCode(id: """`+repeat("\\\"\"\"", 7000)),
		document("a long name that is repeated for each field of the schema", limit, "{ __schema {"+numbered(90, "a%d: types { fields { ...F } }", " ")+"} } fragment F on __Field { "+repeat("l", 50000)+": name }"),
		document("a long name in 350 fragments", limit, numbered(350, "fragment G%d on OAuth2Provider { ...F }", " ")+" fragment F on OAuth2Provider { "+repeat("x", 40000)+" } { __typename }"),
		document("names that nearly exist, in 300 fragments", limit+"|200 GRAPHQL_VALIDATION_FAILED+LIMIT_EXCEEDED", "{ __typename } fragment F on OAuth2Provider { "+numbered(8, "assignedBackchannelApplicationNames%d", " ")+" } "+numbered(300, "fragment G%d on OAuth2Provider { ...F }", " ")),
		document("1,440 bad values in 180 fragments", limit, "{ __typename } fragment F on Query { _entities(representations: ["+repeat("1 ", 1440)+"]) { __typename } } "+numbered(180, "fragment G%d on Query { ...F }", " ")),
		document("a name of 60,000 letters", limit, "{ "+repeat("a", 60000)+" }"),
		document("a number of 60,000 digits", "200 BAD_USER_INPUT|"+invalid, "{ authorizationCode(id: "+repeat("9", 60000)+") { id } }"),
		document("an integer beyond 64 bits", "200 BAD_USER_INPUT|"+invalid, "{ authorizationCode(id: 99999999999999999999) { id } }"),
		document("an integer beyond 64 bits in a representation", "200 BAD_USER_INPUT|"+invalid, `{ _entities(representations: [{__typename: "AuthorizationCode", id: 99999999999999999999}]) { __typename } }`),
		document("a float beyond all bounds", "200 BAD_USER_INPUT|"+invalid, `{ _entities(representations: [{__typename: "AuthorizationCode", id: 1e999999}]) { __typename } }`),
		document("a subscription", invalid, "subscription { __typename }"),
		document("a type definition", unparsed, "type Query { a: Int }"),
	}
}

// doubling returns a chain of fragments, each of which spreads the next twice.
func doubling(levels int) string {
	return "{ ...F0 } " + links(levels, "...F%d ...F%[1]d")
}

// chain returns fragments, each of which spreads the next.
func chain(n int) string { return links(n, "...F%d") }

func links(n int, next string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "fragment F%d on Query { %s } ", i, fmt.Sprintf(next, i+1))
	}
	fmt.Fprintf(&b, "fragment F%d on Query { __typename }", n)
	return b.String()
}

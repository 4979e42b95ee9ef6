//go:build linux

package attacks

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
)

// bodyRows attack with the JSON of a request.
func bodyRows() []row {
	repeat := strings.Repeat
	entities := `query($r: [_Any!]!) { _entities(representations: $r) { __typename } }`
	return []row{
		{name: "60,000 open brackets", send: post(repeat("[", 60000)), want: "400 BATCHING_NOT_SUPPORTED"},
		{name: "60,000 open brackets as a query", send: post(`{"query":` + repeat("[", 60000)), want: "400 BAD_REQUEST"},
		{name: "deep variables", send: post(query(entities, `{"r":`+repeat("[", 9000)+repeat("]", 9000)+`}`)), want: "400 LIMIT_EXCEEDED"},
		{name: "deep objects in variables", send: post(query(entities, `{"r":`+repeat(`{"a":`, 6000)+"1"+repeat("}", 6000)+`}`)), want: "400 LIMIT_EXCEEDED|400 BAD_REQUEST"},
		{name: "deep extensions", send: post(`{"query":"{__typename}","extensions":{"a":` + repeat("[", 9000) + repeat("]", 9000) + `}}`), want: "200 data"},
		{name: "40 KB of variables", send: post(query(entities, `{"r":["`+repeat("a", 40<<10)+`"]}`)), want: "400 LIMIT_EXCEEDED"},
		{name: "2,000 undeclared variables", send: post(query(`{ __typename }`, "{"+numbered(2000, `"v%d":1`, ",")+"}")), want: "200 data"},
		{name: "100 lists from fake cursors", send: post(query("{ " + numbered(100, `a%d: authorizationCodes(first: 1, user: %[1]d, after: "`+fakeCursor+`") { totalCount }`, " ") + " }")), want: "200 BAD_USER_INPUT+UPSTREAM_UNAVAILABLE|200 BAD_USER_INPUT|200 UPSTREAM_UNAVAILABLE+BAD_USER_INPUT", maxCalls: 300, maxSize: 64 << 10},
		{name: "a page of two billion", send: post(query(`{ authorizationCodes(first: 2147483647) { totalCount } a: accessTokens(first: -1) { totalCount } }`)), want: "200 BAD_USER_INPUT"},
		{name: "a page of more than that", send: post(query(`query($n: Int) { authorizationCodes(first: $n) { totalCount } }`, `{"n":99999999999}`)), want: "200 BAD_USER_INPUT|200 GRAPHQL_VALIDATION_FAILED"},
		{name: "a cursor that cannot be decoded", send: post(query(`{ authorizationCodes(after: "` + repeat("A", 20000) + `") { totalCount } }`)), want: "200 BAD_USER_INPUT"},
		{name: "30 full pages of 100", send: post(query("{ " + numbered(30, `a%d: authorizationCodes(first: 100) { nodes { id user { username groups { name } } } edges { node { id } } }`, " ") + " }")), want: "200 LIMIT_EXCEEDED"},
		{name: "100 revocations of another caller's codes", send: post(query("mutation { " + numbered(100, `a%d: revokeAuthorizationCode(id: 6%[1]d) { id }`, " ") + " }")), want: "200 NOT_FOUND", maxCalls: 100, maxSize: 64 << 10},
		{name: "a condition that is null", send: post(query(`query($b: Boolean = true) { __typename @include(if: $b) a: __typename @skip(if: $b) }`, `{"b":null}`)), want: "200 BAD_USER_INPUT"},
		{name: "an invented token asks for 100 codes", send: raw(request(postGraphQL, query("{ "+numbered(100, "a%d: authorizationCode(id: 6%[1]d) { id }", " ")+" }"), jsonType, "Authorization: Bearer invented")),
			want: "200 UNAUTHENTICATED", maxCalls: 1, maxSize: 64 << 10},
		{name: "9,900 bad representations", send: post(query(`query($r: [_Any!]!) { `+numbered(99, `a`+repeat("b", 100)+`%d: _entities(representations: $r) { __typename }`, " ")+` }`, `{"r":[`+numbered(100, `{}`, ",")+`]}`)),
			want: "200 LIMIT_EXCEEDED|503 OVERLOADED"},
		{name: "a name twice", send: post(`{"query":"{__typename}","query":"{x}"}`), want: "400 BAD_REQUEST"},
		{name: "a name twice in variables", send: post(query(`query($a: ID!) { authorizationCode(id: $a) { id } }`, `{"a":"17","a":"18"}`)), want: "400 BAD_REQUEST"},
		{name: "a name in another case", send: post(`{"QUERY":"{__typename}"}`), want: "400 BAD_REQUEST"},
		{name: "invalid UTF-8", send: post("{\"query\":\"{ __typename } # \xff\xfe\"}"), want: "400 BAD_REQUEST"},
		{name: "half a surrogate pair", send: post(`{"query":"{ __typename } # \ud800"}`), want: "400 BAD_REQUEST"},
		{name: "a NUL byte", send: post("{\"query\":\"{ __typename }\x00\"}"), want: "400 BAD_REQUEST"},
		{name: "an escaped NUL", send: post(`{"query":"{ __typename \u0000 }"}`), want: "200 GRAPHQL_PARSE_FAILED"},
		{name: "a byte order mark", send: post("\xef\xbb\xbf" + query(`{ __typename }`)), want: "400 BAD_REQUEST"},
		{name: "a batch of 1,000", send: post("[" + numbered(1000, `{"query":"{__typename}"}`, ",") + "]"), want: "400 BATCHING_NOT_SUPPORTED"},
		{name: "two bodies", send: post(query(`{ __typename }`) + query(`{ x }`)), want: "400 BAD_REQUEST"},
		{name: "a huge number", send: post(query(`query($a: ID!) { authorizationCode(id: $a) { id } }`, `{"a":1e999999999}`)), want: "200 BAD_USER_INPUT|200 GRAPHQL_VALIDATION_FAILED"},
		{name: "a number of 30,000 digits", send: post(query(`query($a: ID!) { authorizationCode(id: $a) { id } }`, `{"a":`+repeat("9", 30000)+`}`)), want: "200 BAD_USER_INPUT|200 GRAPHQL_VALIDATION_FAILED"},
		{name: "an object as an id", send: post(query(`query($a: ID!) { authorizationCode(id: $a) { id } }`, `{"a":{"$ne":null}}`)), want: "200 BAD_USER_INPUT|200 GRAPHQL_VALIDATION_FAILED"},
		{name: "a persisted query of another text", send: post(`{"query":"{__typename}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + repeat("0", 64) + `"}}}`), want: "400 BAD_REQUEST"},
		{name: "a persisted query of a long hash", send: post(`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + repeat("0", 60000) + `"}}}`), want: "200 PERSISTED_QUERY_NOT_FOUND"},
		{name: "4,000 representations", send: post(query(entities, `{"r":[`+numbered(4000, `{}`, ",")+`]}`)), want: "200 LIMIT_EXCEEDED"},
		{name: "100 representations without a type", send: post(query(entities, `{"r":[`+numbered(100, `{}`, ",")+`]}`)), want: "200 BAD_USER_INPUT", maxSize: 64 << 10},
		{name: "100 foreign representations, five times", send: post(query(`query($r: [_Any!]!) { `+numbered(5, `a%d: _entities(representations: $r) { __typename }`, " ")+` }`,
			`{"r":[`+numbered(100, `{"__typename":"AuthorizationCode","id":"9%d"}`, ",")+`]}`)), want: "200 NOT_FOUND", maxCalls: 100, maxSize: 256 << 10},
		{name: "200 foreign representations in two lists", send: post(query(`query($r: [_Any!]!, $s: [_Any!]!) { a: _entities(representations: $r) { __typename } b: _entities(representations: $s) { __typename } }`,
			`{"r":[`+numbered(100, `{"__typename":"AuthorizationCode","id":"8%d"}`, ",")+`],"s":[`+numbered(100, `{"__typename":"AuthorizationCode","id":"7%d"}`, ",")+`]}`)),
			want: "200 NOT_FOUND+LIMIT_EXCEEDED|200 LIMIT_EXCEEDED+NOT_FOUND", maxCalls: 100, maxSize: 256 << 10},
	}
}

// fakeCursor claims a position far down the list.
var fakeCursor = base64.RawURLEncoding.EncodeToString([]byte("1.authorization_codes.n.1000000.2000000000"))

// numbered repeats a format, with its index if the format takes one.
func numbered(n int, format, separator string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = format
		if strings.Contains(format, "%d") {
			parts[i] = fmt.Sprintf(format, i)
		}
	}
	return strings.Join(parts, separator)
}

// gzipBomb is 40 MB of blanks in 40 KB.
func gzipBomb() string {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(bytes.Repeat([]byte(" "), 40<<20))
	_ = w.Close()
	return b.String()
}

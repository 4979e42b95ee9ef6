//go:build linux

package attacks

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// idRows send something else in place of an id. None of it may reach authentik.
func idRows() []row {
	var rows []row
	for name, id := range map[string]string{
		"a path":             `17/../../../core/users`,
		"an encoded path":    `17%2f..%2f..%2fcore`,
		"a parameter":        `17?format=api`,
		"a fragment":         `17#`,
		"a host":             `//evil.example/`,
		"header lines":       `17\r\nX-Injected: 1\r\n\r\nGET / HTTP/1.1`,
		"a NUL":              `17\u0000`,
		"SQL":                `17 OR 1=1`,
		"a sign":             `+17`,
		"a leading zero":     `017`,
		"a blank":            ` 17`,
		"digits of a script": `١٧`,
		"zero":               `0`,
		"an overflow":        `4294967313`,
		"nothing":            ``,
		"a formatting verb":  `%s%n`,
		"50,000 digits":      strings.Repeat("9", 50000),
		"a template":         `${jndi:ldap://evil.example}`,
		"markup":             `<script>alert(1)</script>`,
	} {
		rows = append(rows,
			row{name: "an id that is " + name, send: post(`{"query":"query($id: ID!) { authorizationCode(id: $id) { id } }","variables":{"id":"` + id + `"}}`),
				want: "200 BAD_USER_INPUT|400 LIMIT_EXCEEDED"},
			row{name: "a representation whose id is " + name, send: post(`{"query":"query($r: [_Any!]!) { _entities(representations: $r) { __typename } }","variables":{"r":[{"__typename":"AuthorizationCode","id":"` + id + `"}]}}`),
				want: "200 BAD_USER_INPUT|400 LIMIT_EXCEEDED"})
	}
	return rows
}

// hostile maps codes to the ways in which an authentik in an attacker's hands answers for them.
var hostile = map[int32]upstreamtest.Fault{
	501: upstreamtest.Redirect302,
	502: upstreamtest.Huge(256 << 20),
	503: upstreamtest.Endless,
	504: upstreamtest.HTML200,
	505: upstreamtest.WrongPK,
	506: upstreamtest.WrongArray,
	507: upstreamtest.CutJSON,
	508: upstreamtest.Reset,
	509: upstreamtest.Hang,
	510: hostileBody(`{"pk":510,"provider":{"pk":1,"name":"<script>alert(1)</script><img src=x onerror=alert(2)>"},"user":{"pk":1,"name":"\u2028\u0000</script>"},"expires":"2099-01-01T00:00:00Z","is_expired":false,"scope":["<b>"]}`),
	511: hostileBody(`{"pk":511,"provider":"` + strings.Repeat("a", 1000) + `","user":7,"expires":{},"is_expired":"maybe","scope":{"a":[]}}`),
	512: hostileBody(strings.Repeat("[", 1<<20)),
	513: hostileBody(`{"pk":513,"user":{"pk":1,"attributes":` + strings.Repeat(`{"a":`, 100000) + `1` + strings.Repeat("}", 100000) + `}}`),
	514: hostileHeaders,
	515: hostileBody(`{"pk":515,"user":{"pk":1,"attributes":{"a":"` + strings.Repeat("x", 3<<20) + `"}},"provider":{"pk":1},"expires":"2099-01-01T00:00:00Z","is_expired":false,"scope":[]}`),
}

func hostileBody(body string) upstreamtest.Fault {
	return upstreamtest.Fault{Name: "hostile body", Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}}
}

// hostileHeaders has a megabyte of header lines.
var hostileHeaders = upstreamtest.Fault{Name: "hostile headers", Serve: func(w http.ResponseWriter, _ *http.Request, next http.Handler) {
	for i := range 1000 {
		w.Header().Set("X-Large-"+strconv.Itoa(i), strings.Repeat("a", 1000))
	}
	w.Header().Set("Set-Cookie", "authentik_session=x")
	w.WriteHeader(http.StatusOK)
}}

// upstreamRows ask for the hostile codes.
func upstreamRows() []row {
	ask := func(id int) string {
		return query(`{ authorizationCode(id: ` + strconv.Itoa(id) + `) { id scope expires user { name attributes } provider { name } } }`)
	}
	of := func(name string, id int, want string) row {
		return row{name: "authentik answers " + name, send: post(ask(id)), want: want, maxTime: 5 * time.Second, maxCalls: 3}
	}
	const bad, gone = "200 UPSTREAM_INVALID_RESPONSE", "|200 UPSTREAM_UNAVAILABLE"
	return []row{
		of("a redirect", 501, bad),
		of("256 MB", 502, bad),
		of("an endless body", 503, bad+"|200 GATEWAY_TIMEOUT"),
		of("a page", 504, bad),
		of("another row", 505, bad),
		of("a list", 506, bad),
		of("half a body", 507, bad+gone),
		// net/http tries again on each of its 64 idle connections.
		{name: "authentik resets the connection", send: post(ask(508)), want: "200 UPSTREAM_UNAVAILABLE", maxTime: 5 * time.Second, maxCalls: 64 + 3},
		of("nothing", 509, "200 GATEWAY_TIMEOUT"+gone),
		of("script in strings", 510, "200 data"),
		of("wrong types", 511, bad+"|200 data"),
		of("a million brackets", 512, bad),
		of("attributes of 100,000 levels", 513, bad+"|200 data"),
		of("a megabyte of headers", 514, bad+gone),
		{name: "authentik answers 3 MB, asked for twenty times", send: post(query(`{ authorizationCode(id: 515) { user { ` + numbered(20, "a%d: attributes", " ") + ` } } }`)),
			want: "200 LIMIT_EXCEEDED|503 OVERLOADED", maxTime: 5 * time.Second, maxCalls: 3},
	}
}

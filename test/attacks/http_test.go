//go:build linux

package attacks

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// httpRows attack HTTP itself.
func httpRows() []row {
	one := query(`{ __typename }`)
	repeat := strings.Repeat
	return []row{
		{name: "slow headers", send: dribble("POST /graphql HTTP/1.1\r\nHost: localhost\r\nX-Slow: "), want: "closed|408", maxTime: 8 * time.Second},
		{name: "slow body", send: dribble("POST /graphql HTTP/1.1\r\nHost: localhost\r\n" + jsonType + "\r\nContent-Length: 60000\r\n\r\n"), want: "408 REQUEST_TIMEOUT|closed", maxTime: 13 * time.Second},
		{name: "100 MB body", send: flood("Content-Length: 104857600", plain), want: "413 PAYLOAD_TOO_LARGE|closed"},
		{name: "100 MB body without a length", send: flood("Transfer-Encoding: chunked", chunked), want: "413 PAYLOAD_TOO_LARGE|closed"},
		{name: "a wrong length", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nContent-Length: 9223372036854775807\r\n\r\n" + one), want: "413 PAYLOAD_TOO_LARGE"},
		{name: "a length beyond 64 bits", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nContent-Length: 99999999999999999999\r\n\r\n" + one), want: "400"},
		{name: "gzip bomb", send: raw(request(postGraphQL, gzipBomb(), jsonType, "Content-Encoding: gzip")), want: "415 UNSUPPORTED_MEDIA_TYPE"},
		{name: "gzip bomb that claims to be JSON", send: raw(request(postGraphQL, gzipBomb(), jsonType)), want: "400 BAD_REQUEST"},
		{name: "100-continue and then nothing", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"), want: "413 PAYLOAD_TOO_LARGE", all: true},
		{name: "headers over the limit", send: raw(request(postGraphQL, one, jsonType, "X-Large: "+repeat("a", 20<<10))), want: "431 HEADERS_TOO_LARGE"},
		{name: "2 MB of headers", send: raw(request(postGraphQL, one, jsonType, "X-Large: "+repeat("a", 2<<20))), want: "431|closed"},
		{name: "10,000 header lines", send: raw(request(postGraphQL, one, jsonType, repeat("X-Many: 1\r\n", 9999)+"X-Many: 1")), want: "431|closed"},
		{name: "URL over the limit", send: raw("GET /graphql?query=" + repeat("a", 10<<10) + " HTTP/1.1\r\nHost: x\r\n" + asAlice + "\r\n\r\n"), want: "414 URI_TOO_LONG"},
		{name: "1 MB URL", send: raw("GET /graphql?query=" + repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n" + asAlice + "\r\n\r\n"), want: "431|closed"},
		{name: "smuggling by two lengths", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{}" + smuggled), want: "400", all: true},
		{name: "smuggling by length and chunks", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled), want: "400 BAD_REQUEST|400", all: true},
		{name: "smuggling by an odd coding", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled), want: "501|400", all: true},
		{name: "smuggling by a blank before the colon", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nContent-Length : 2\r\n\r\n{}" + smuggled), want: "400", all: true},
		{name: "smuggling by a folded line", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\nX: a\r\n Content-Length: 2\r\n" + jsonType + "\r\n\r\n{}" + smuggled), want: "400, 400 BAD_REQUEST", all: true},
		{name: "smuggling by a bad chunk", send: raw(postGraphQL + " HTTP/1.1\r\nHost: x\r\n" + jsonType + "\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n" + smuggled), want: "400 BAD_REQUEST", all: true},
		{name: "two hosts", send: raw("POST /graphql HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), want: "400", all: true},
		{name: "no host", send: raw("POST /graphql HTTP/1.1\r\n\r\n"), want: "400"},
		{name: "a foreign host", send: raw("POST /graphql HTTP/1.1\r\nHost: evil.example\r\n" + jsonType + "\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(one)) + one), want: "200 data"},
		{name: "no HTTP", send: raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + repeat("\x00", 100)), want: "400|408|closed", maxTime: 8 * time.Second},
		{name: "an unknown method", send: raw(request("BREW /graphql", one, jsonType)), want: "405 METHOD_NOT_ALLOWED"},
		{name: "CONNECT", send: raw("CONNECT internal:80 HTTP/1.1\r\nHost: internal:80\r\n\r\n"), want: "404"},
		{name: "a whole URL", send: raw(request("POST http://internal/graphql", one, jsonType)), want: "200 data"},
		{name: "a path that climbs", send: raw("GET /graphql/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), want: "307|301|404"},
		{name: "a request id that breaks lines", send: raw(request(postGraphQL, one, jsonType, "X-Request-Id: a%0d%0aSet-Cookie: x")), want: "200 data"},
		{name: "a NUL in a header", send: raw(request(postGraphQL, one, jsonType, "X-Nul: a\x00b")), want: "400"},
		{name: "two tokens", send: raw(request(postGraphQL, query(`{ authorizationCode(id: 17) { id } }`), jsonType, asAlice, asAlice)), want: "200 UNAUTHENTICATED"},
		{name: "a token with bytes beyond ASCII", send: raw(request(postGraphQL, query(`{ authorizationCode(id: 17) { id } }`), jsonType, "Authorization: Bearer d\xe9mo")), want: "200 UNAUTHENTICATED"},
		{name: "500 requests in one write", send: raw(repeat(request(postGraphQL, one, jsonType), 500)), want: "200 data", maxSize: 64 << 10, all: true},

		{name: "text/plain", send: raw(request(postGraphQL, one, "Content-Type: text/plain")), want: "415 UNSUPPORTED_MEDIA_TYPE"},
		{name: "a form", send: raw(request(postGraphQL, "query=%7B__typename%7D", "Content-Type: application/x-www-form-urlencoded")), want: "415 UNSUPPORTED_MEDIA_TYPE"},
		{name: "a multipart form", send: raw(request(postGraphQL, "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n"+one+"\r\n--x--", "Content-Type: multipart/form-data; boundary=x")), want: "415 UNSUPPORTED_MEDIA_TYPE"},
		{name: "no content type", send: raw(request(postGraphQL, one)), want: "415 UNSUPPORTED_MEDIA_TYPE"},
		{name: "two content types", send: raw(request(postGraphQL, one, jsonType, "Content-Type: text/plain")), want: "415 UNSUPPORTED_MEDIA_TYPE"},
		{name: "another charset", send: raw(request(postGraphQL, one, jsonType+"; charset=utf-16")), want: "415 UNSUPPORTED_MEDIA_TYPE"},
		{name: "a cross-site form", send: raw(request(postGraphQL, one, "Content-Type: text/plain", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site")), want: "403 FORBIDDEN"},
		{name: "cross-site JSON", send: raw(request(postGraphQL, one, jsonType, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Cookie: authentik_session=x")), want: "403 FORBIDDEN"},
		{name: "a cross-site link", send: raw("GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: cross-site\r\n\r\n"), want: "400 BAD_REQUEST"},
		{name: "a mutation by a link", send: raw("GET /graphql?query=mutation%7Brevoke%7D HTTP/1.1\r\nHost: x\r\n" + asAlice + "\r\n\r\n"), want: "405 METHOD_NOT_ALLOWED"},
		{name: "a parameter twice", send: raw("GET /graphql?query=%7B__typename%7D&query=%7Bx%7D HTTP/1.1\r\nHost: x\r\n" + asAlice + "\r\n\r\n"), want: "400 BAD_REQUEST"},
	}
}

// smuggled is a request that must not be answered as one of its own.
const smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Smuggled: 1\r\n\r\n"

// dribble sends a beginning and then a byte at a time, for as long as the service accepts them.
func dribble(beginning string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, beginning)
		for tick := time.NewTicker(100 * time.Millisecond); err == nil; <-tick.C {
			_, err = w.Write([]byte{'a'})
		}
		return err
	}
}

func plain(w io.Writer, block []byte) error {
	_, err := w.Write(block)
	return err
}

func chunked(w io.Writer, block []byte) error {
	_, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(block), block)
	return err
}

// flood sends 100 MB of blanks, or as many as the service accepts.
func flood(length string, write func(io.Writer, []byte) error) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, postGraphQL+" HTTP/1.1\r\nHost: localhost\r\n"+jsonType+"\r\n"+length+"\r\n\r\n")
		block := []byte(strings.Repeat(" ", 1<<16))
		for range 1600 {
			if err == nil {
				err = write(w, block)
			}
		}
		return err
	}
}

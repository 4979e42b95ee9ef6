package upstream_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream"
)

// checkSilent checks that an error contains nothing of the body.
func checkSilent(t *testing.T, e *upstream.Error, body string) {
	t.Helper()
	for _, word := range []string{"dial unix", "DOCTYPE", "Select a valid", "detail", "authentik-core.sock"} {
		if strings.Contains(body, word) && strings.Contains(e.Error(), word) {
			t.Errorf("%q repeats the body", e)
		}
	}
}

func TestClassify(t *testing.T) {
	const (
		js, utf8JS  = "application/json", "application/json; charset=utf-8"
		html, plain = "text/html; charset=utf-8", "text/plain; charset=utf-8"
		page        = "<!DOCTYPE html>\n<html></html>"
	)
	detail := func(text string) string {
		b, err := json.Marshal(map[string]string{"detail": text})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	deep := strings.Repeat("[", 4<<20)
	for _, tc := range []struct {
		name       string
		status     int
		mime, body string
		retryAfter string
		want       upstream.Kind
		wait       time.Duration
		fields     []string
	}{
		// authentik's own answers.
		{name: "no token, list", status: 403, mime: js, body: detail("Authentication credentials were not provided."), want: upstream.Unauthenticated},
		{name: "no token, in German", status: 403, mime: js, body: detail("Anmeldedaten fehlen."), want: upstream.Unauthenticated},
		{name: "no token, in French", status: 403, mime: js, body: detail("Informations d'authentification non fournies."), want: upstream.Unauthenticated},
		{name: "bad token", status: 403, mime: utf8JS, body: detail("Token invalid/expired"), want: upstream.Unauthenticated},
		{name: "other scheme", status: 403, mime: js, body: detail("Unsupported authentication type"), want: upstream.Unauthenticated},
		{name: "not allowed", status: 403, mime: js, body: detail("You do not have permission to perform this action."), want: upstream.Forbidden},
		{name: "unknown up to 2025.2", status: 404, mime: js, body: detail("Not found."), want: upstream.NotFound},
		{name: "unknown from 2025.4", status: 404, mime: utf8JS, body: detail("No AuthorizationCode matches the given query."), want: upstream.NotFound},
		{name: "not routed", status: 404, mime: html, body: page, want: upstream.InvalidResponse},
		{name: "outside the prefix", status: 404, mime: plain, body: "404 page not found\n", want: upstream.InvalidResponse},
		{name: "token outside ASCII", status: 500, mime: html, body: page, want: upstream.Failed},
		{name: "NUL in a token", status: 400, mime: plain, body: "Invalid HTTP request received.", want: upstream.InvalidResponse},
		{name: "unknown filter value", status: 400, mime: js, body: `{"user":["Select a valid choice."]}`, want: upstream.BadInput, fields: []string{"user"}},
		{name: "NUL in search", status: 400, mime: js, body: `["Null characters are not allowed."]`, want: upstream.BadInput},
		{name: "licence", status: 400, mime: js, body: `{"detail":"...","code":"denied_license"}`, want: upstream.BadInput},
		{name: "method", status: 405, mime: js, body: detail(`Method "PUT" not allowed.`), want: upstream.InvalidResponse},
		{name: "method, empty", status: 405, mime: html, want: upstream.InvalidResponse},
		{name: "accept", status: 406, mime: js, body: detail("Could not satisfy the request Accept header."), want: upstream.InvalidResponse},
		{name: "throttled", status: 429, mime: js, body: detail("Request was throttled. Expected available in 60 seconds."), retryAfter: "60", want: upstream.RateLimited, wait: time.Minute},
		{name: "exception", status: 500, mime: html, body: page, want: upstream.Failed},
		{name: "starting, text of 2025.8", status: 502, mime: plain, body: "failed to connect to authentik backend: authentik starting", want: upstream.Unavailable},
		{name: "starting, JSON of 2025.8", status: 502, mime: plain, body: `{"error":"failed to connect to authentik backend: authentik starting"}`, want: upstream.Unavailable},
		{name: "starting, 200 of 2025.10.0", status: 200, mime: js, body: `{"error":"authentik starting"}`, retryAfter: "5", want: upstream.Unavailable, wait: 5 * time.Second},
		{name: "starting, JSON of 2025.10.1", status: 503, mime: js, body: `{"error":"authentik starting"}`, retryAfter: "5", want: upstream.Unavailable, wait: 5 * time.Second},
		{name: "starting, page", status: 503, mime: "text/html", body: page, retryAfter: "5", want: upstream.Unavailable, wait: 5 * time.Second},
		{name: "starting, text", status: 503, mime: "text/plain", body: "authentik starting", retryAfter: "5", want: upstream.Unavailable, wait: 5 * time.Second},
		{name: "starting, a proxy took Retry-After", status: 503, mime: "text/plain", body: "authentik starting", want: upstream.Unavailable},
		{name: "core down", status: 502, mime: js, body: `{"error":"failed to connect to authentik backend: dial unix /x: connect: connection refused"}`, want: upstream.Unavailable},
		{name: "database down", status: 500, mime: html, body: page, want: upstream.Failed},

		// Answers of proxies in between.
		{name: "401", status: 401, mime: js, body: detail("no"), want: upstream.Unauthenticated},
		{name: "401 page", status: 401, mime: html, body: page, want: upstream.InvalidResponse},
		{name: "403 page", status: 403, mime: html, body: page, want: upstream.InvalidResponse},
		{name: "403 empty", status: 403, want: upstream.InvalidResponse},
		{name: "403 that only begins like a bad token", status: 403, mime: js, body: detail("Token invalid/expired."), want: upstream.Forbidden},
		{name: "403 in other case", status: 403, mime: js, body: detail("token invalid/expired"), want: upstream.Forbidden},
		{name: "403 with a list for detail", status: 403, mime: js, body: `{"detail":["Token invalid/expired"]}`, want: upstream.InvalidResponse},
		{name: "404 JSON cut", status: 404, mime: js, body: `{"detail":"Not`, want: upstream.InvalidResponse},
		{name: "404 JSON labelled text", status: 404, mime: plain, body: detail("Not found."), want: upstream.InvalidResponse},
		{name: "404 empty", status: 404, want: upstream.InvalidResponse},
		{name: "429 without a time", status: 429, want: upstream.RateLimited},
		{name: "429 with a date", status: 429, retryAfter: "Fri, 31 Dec 2027 23:59:59 GMT", want: upstream.RateLimited, wait: time.Hour},
		{name: "429 with a year", status: 429, retryAfter: "31536000", want: upstream.RateLimited, wait: time.Hour},
		{name: "501", status: 501, want: upstream.Failed},
		{name: "502 of a proxy", status: 502, mime: html, body: page, want: upstream.Failed},
		{name: "503 of a proxy", status: 503, mime: html, body: page, want: upstream.Failed},
		{name: "503 of a proxy that says when", status: 503, mime: html, body: page, retryAfter: "30", want: upstream.Unavailable, wait: 30 * time.Second},
		{name: "504", status: 504, mime: html, body: page, want: upstream.Failed},
		{name: "599", status: 599, want: upstream.Failed},
		{name: "301", status: 301, want: upstream.InvalidResponse},
		{name: "302 page", status: 302, mime: html, body: page, want: upstream.InvalidResponse},
		{name: "304", status: 304, want: upstream.InvalidResponse},
		{name: "307 JSON", status: 307, mime: js, body: `{}`, want: upstream.InvalidResponse},
		{name: "201 JSON", status: 201, mime: js, body: minimal, want: upstream.InvalidResponse},
		{name: "204", status: 204, want: upstream.InvalidResponse},
		{name: "206", status: 206, mime: js, body: minimal, want: upstream.InvalidResponse},
		{name: "410", status: 410, mime: js, body: detail("gone"), want: upstream.InvalidResponse},
		{name: "418", status: 418, want: upstream.InvalidResponse},

		// A 200 that is no success.
		{name: "200 page", status: 200, mime: html, body: page, want: upstream.InvalidResponse},
		{name: "200 without a type", status: 200, body: minimal, want: upstream.InvalidResponse},
		{name: "200 of a broken type", status: 200, mime: "application/json; =", body: minimal, want: upstream.InvalidResponse},
		{name: "200 of another JSON type", status: 200, mime: "application/problem+json", body: minimal, want: upstream.InvalidResponse},
		{name: "200 JSON labelled text", status: 200, mime: plain, body: minimal, want: upstream.InvalidResponse},

		// Deep nesting must not end the process, whatever the status.
		{name: "400 deep", status: 400, mime: js, body: deep, want: upstream.InvalidResponse},
		{name: "400 deep in an object", status: 400, mime: js, body: `{"user":` + deep, want: upstream.InvalidResponse},
		{name: "403 deep", status: 403, mime: js, body: deep, want: upstream.InvalidResponse},
		{name: "403 deep in an object", status: 403, mime: js, body: `{"detail":` + deep, want: upstream.InvalidResponse},
		{name: "404 deep", status: 404, mime: js, body: deep, want: upstream.InvalidResponse},
		{name: "502 deep", status: 502, mime: js, body: deep, want: upstream.Failed},

		// Only plain field names may reach the caller.
		{name: "several fields", status: 400, mime: js, body: `{"user":["a"],"provider":["b"],"non_field_errors":["c"],"code":"d"}`, want: upstream.BadInput, fields: []string{"user", "provider"}},
		{name: "hostile fields", status: 400, mime: js, want: upstream.BadInput, fields: []string{"page_size"},
			body: `{"<script>":["a"],"User":["a"],"user name":["a"],"a-b":["a"],"":["a"],"ü":["a"],"a\u0000b":["a"],"a$b":["a"],"user1":["a"],"` + strings.Repeat("a", 65) + `":["a"],"page_size":["a"]}`},
		{name: "fields that are no lists", status: 400, mime: js, want: upstream.InvalidResponse, body: `{"page_size":["a"],"x":"a"}`},
		{name: "an object for a field", status: 400, mime: js, want: upstream.InvalidResponse, body: `{"page_size":["a"],"y":{"z":["a"]}}`},
		{name: "a list of other things", status: 400, mime: js, want: upstream.InvalidResponse, body: `{"page_size":[1]}`},
		{name: "no field", status: 400, mime: js, want: upstream.InvalidResponse, body: `{}`},
		{name: "a code alone", status: 400, mime: js, want: upstream.InvalidResponse, body: `{"code":"else"}`},
		{name: "400 as a text", status: 400, mime: js, want: upstream.InvalidResponse, body: `"no"`},
		{name: "400 labelled text", status: 400, mime: plain, want: upstream.InvalidResponse, body: `{"user":["a"]}`},
		{name: "403 labelled text", status: 403, mime: plain, want: upstream.InvalidResponse, body: detail("Token invalid/expired")},
		{name: "403 of another API", status: 403, mime: js, want: upstream.InvalidResponse, body: `{"error":"forbidden"}`},
		{name: "401 of another API", status: 401, mime: js, want: upstream.InvalidResponse, body: `{"message":"Unauthorized"}`},
		{name: "408", status: 408, mime: plain, want: upstream.Timeout},
		{name: "413", status: 413, mime: html, want: upstream.InvalidResponse, body: page},
		{name: "many fields", status: 400, mime: js, want: upstream.BadInput, fields: strings.Split("a b c d e f g h", " "),
			body: `{"a":[],"b":[],"c":[],"d":[],"e":[],"f":[],"g":[],"h":[],"i":[],"j":[]}`},
		{name: "400 page", status: 400, mime: html, body: page, want: upstream.InvalidResponse},
		{name: "400 cut", status: 400, mime: js, body: `{"user":["a"]`, want: upstream.InvalidResponse},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			for name, value := range map[string]string{"Content-Type": tc.mime, "Retry-After": tc.retryAfter} {
				if value != "" {
					h.Set(name, value)
				}
			}
			e := upstream.Classify(tc.status, h, []byte(tc.body))
			if e == nil {
				t.Fatal("no error")
			}
			if e.Kind != tc.want || e.RetryAfter != tc.wait || !slices.Equal(e.Fields, tc.fields) || e.Status != tc.status {
				t.Errorf("got %v, retry after %v, fields %q, status %d", e.Kind, e.RetryAfter, e.Fields, e.Status)
			}
			checkSilent(t, e, tc.body)
		})
	}
}

// TestNoJSON checks that a 200 that is not the JSON it claims is an error of decoding, and is not retried.
func TestNoJSON(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "page": "<!DOCTYPE html>\n<html></html>", "cut": minimal[:50], "twice": body + body, "with a tail": body + "}",
		"deep": strings.Repeat("[", 4<<20-1), "deep in an object": `{"error":` + strings.Repeat("[", 4<<20-10), "not UTF-8": strings.Replace(body, `"pk"`, "\"\xff\":1,\"pk\"", 1),
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, text) })
			c := client(t, server.URL)
			_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if e := wantKind(t, err, upstream.InvalidResponse); e.Status != http.StatusOK {
				t.Errorf("status %d", e.Status)
			}
			if n := c.Stats().Calls; n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestClassifyCodes checks which answers are decoded.
func TestClassifyCodes(t *testing.T) {
	for _, mime := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json;"} {
		for _, body := range []string{minimal, `{}`, `[]`, `null`, `{"error":"authentik starting","pk":1}`, `{"error":"another"}`} {
			if e := upstream.Classify(http.StatusOK, http.Header{"Content-Type": {mime}}, []byte(body)); e != nil {
				t.Errorf("%s %s: %v", mime, body, e)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	const date = "Fri, 31 Dec 2027 23:59:59 GMT"
	arrived := time.Date(2027, 12, 31, 23, 59, 50, 500_000_000, time.UTC)
	for _, tt := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0}, {"0", "", 0}, {"5", "", 5 * time.Second}, {"3600", "", time.Hour}, {"3601", "", time.Hour},
		{"9223372036", "", time.Hour}, {"9223372037", "", time.Hour}, {"9223372036854775807", "", time.Hour}, // seconds that overflow a Duration
		{"9223372036854775808", "", 0}, {"-1", "", 0}, {"1.5", "", 0}, {" 5", "", 0}, {"soon", "", 0},
		{date, "Fri, 31 Dec 2027 23:59:52 GMT", 7 * time.Second},
		{date, "Fri, 31 Dec 2027 23:59:59 GMT", 0},
		{date, "Sat, 01 Jan 2028 00:00:00 GMT", 0}, // which was already over
		{date, "Thu, 30 Dec 2027 00:00:00 GMT", time.Hour},
		{date, "", 9 * time.Second}, {date, "yesterday", 9 * time.Second}, // 8.5 s by this clock
		{"Friday, 31-Dec-27 23:59:59 GMT", "Fri, 31 Dec 2027 23:59:52 GMT", 7 * time.Second}, // the obsolete forms
		{"Fri Dec 31 23:59:59 2027", "Fri, 31 Dec 2027 23:59:52 GMT", 7 * time.Second},
		{"Fri, 31 Dec 2027 23:59:59 +0000", "Fri, 31 Dec 2027 23:59:52 GMT", 0},
	} {
		if got := upstream.RetryAfter(tt.value, tt.date, arrived); got != tt.want {
			t.Errorf("%q at %q: got %v, want %v", tt.value, tt.date, got, tt.want)
		}
	}
}

func TestCleanID(t *testing.T) {
	for _, tc := range []struct{ id, want string }{
		{"cdf6d6f64fd2420ab2b985a237009bca", "cdf6d6f64fd2420ab2b985a237009bca"},
		{"CDF6D6F6-4FD2-420A-B2B9-85A237009BCA", "CDF6D6F6-4FD2-420A-B2B9-85A237009BCA"},
		{strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{"", ""},
		{strings.Repeat("a", 65), ""},
		{"a b", ""},
		{"a\nlevel=ERROR", ""},
		{"a\x1b[31mb", ""},
		{"xyz", ""},
		{"a%b", ""},
	} {
		if got := upstream.CleanID(tc.id); got != tc.want {
			t.Errorf("%q: got %q", tc.id, got)
		}
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("the cause")
	for _, tc := range []struct {
		err  upstream.Error
		want string
	}{
		{upstream.Error{}, "upstream: internal"},
		{upstream.Error{Kind: upstream.NotFound, Status: 404, Fields: []string{"a"}}, "upstream: not found (status 404)"},
		{upstream.Error{Kind: upstream.Timeout, Err: cause}, "upstream: timeout: the cause"},
		{upstream.Error{Kind: upstream.InvalidResponse, Status: 200, Err: cause}, "upstream: invalid response (status 200): the cause"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
		if errors.Is(&tc.err, cause) != (tc.err.Err != nil) {
			t.Errorf("%v does not lead to its cause", &tc.err)
		}
	}
}

func TestKindString(t *testing.T) {
	seen := map[string]bool{}
	for k := upstream.Internal; k <= upstream.Unlicensed; k++ {
		if s := k.String(); s == "" || seen[s] || strings.HasPrefix(s, "kind ") {
			t.Errorf("kind %d is %q", int(k), s)
		} else {
			seen[s] = true
		}
	}
	for _, k := range []upstream.Kind{-1, upstream.Unlicensed + 1} {
		if got, want := k.String(), "kind "+strconv.Itoa(int(k)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestErrorStore(t *testing.T) {
	for _, e := range []*upstream.Error{
		{Kind: upstream.NotFound, Status: 404, AuthentikID: "0a1b"},
		{Kind: upstream.RateLimited, Status: 429, RetryAfter: 60 * time.Second},
		{Kind: upstream.BadInput, Status: 400, Fields: []string{"user", "provider"}},
		{Kind: upstream.Timeout},
		{},
	} {
		got, err := upstream.RestoreError(upstream.EncodeError(e))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, error %v, want %+v", got, err, e)
		}
	}
	kept := upstream.EncodeError(&upstream.Error{Kind: upstream.Unavailable, Err: errors.New("dial tcp 10.1.2.3:9000")})
	if strings.Contains(string(kept), "10.1.2.3") {
		t.Errorf("the cause is stored: %s", kept)
	}
	for _, bad := range []string{"", "null and void", "[]", `{"kind":-1}`, `{"kind":99}`, `{"kind":"x"}`} {
		if e, err := upstream.RestoreError([]byte(bad)); err == nil {
			t.Errorf("%q restores to %+v", bad, e)
		}
	}
}

func FuzzRestoreError(f *testing.F) {
	f.Add(upstream.EncodeError(&upstream.Error{Kind: upstream.RateLimited, Status: 429, RetryAfter: time.Minute, Fields: []string{"user"}}))
	f.Add([]byte(`{"kind":10}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := upstream.RestoreError(b)
		if (e == nil) != (err != nil) {
			t.Fatalf("%+v and error %v", e, err)
		}
		if err != nil {
			return
		}
		if again, err := upstream.RestoreError(upstream.EncodeError(e)); err != nil || again.Error() != e.Error() {
			t.Errorf("got %v, error %v, want %v", again, err, e)
		}
	})
}

package upstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/upstream"
)

// seeds are a few codes of every release, some in their stored form.
func seeds(f *testing.F, add func(body []byte)) {
	for _, release := range recordedReleases(f) {
		n := 0
		for _, row := range recordedGrants(f, release) {
			if n++; n > 4 {
				break
			}
			add(row)
		}
	}
	for _, members := range []string{
		`"attributes":[[[[]]],1e400,"\ud800"]`, `"name":"\ud800\udc00\ud800"`, `"last_login":"9999-12-31T23:59:59-01:00"`,
		`"email":1,"groups":["x"],` + group(`"num_pk":1.0`), `"\u006eame":"a","name":null`,
	} {
		add([]byte(with("user", members)))
	}
	for _, members := range []string{
		`"redirect_uris":" a\nb\t"`, `"redirect_uris":[{}]`, `"logout_uri":null,"backchannel_logout_uri":"x"`, `"jwt_federation_providers":[1.0]`,
	} {
		add([]byte(with("provider", members)))
	}
	add([]byte(with("", `"_ends_at":1,"scope":["a","a"]`)))
	add([]byte(minimal))
}

// checkCode checks that all texts in v are UTF-8 and all attributes JSON.
func checkCode(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() != reflect.Struct || !v.IsNil() && v.Elem().Type().PkgPath() == reflect.TypeFor[upstream.Grant]().PkgPath() {
			checkCode(t, v.Elem())
		}
	case reflect.Struct:
		if v.Type().PkgPath() != reflect.TypeFor[upstream.Grant]().PkgPath() {
			return
		}
		for i := range v.NumField() {
			checkCode(t, v.Field(i))
		}
	case reflect.Slice:
		if raw, ok := v.Interface().(jsontext.Value); ok {
			if raw != nil && !json.Valid(raw) {
				t.Errorf("attributes are not JSON: %q", raw)
			}
			return
		}
		for i := range v.Len() {
			checkCode(t, v.Index(i))
		}
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			t.Errorf("not UTF-8: %q", v.String())
		}
	}
}

func FuzzDecodeGrant(f *testing.F) {
	seeds(f, func(body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		c, _, err := upstream.DecodeGrant(body, sent)
		if err != nil {
			if c != nil {
				t.Error("a code beside an error")
			}
			return
		}
		if c.PK < 1 || c.Provider == nil || c.User == nil || c.Scope == nil {
			t.Error("a strict field is missing")
		}
		if c.Expired && !c.EndsAt.IsZero() || !c.EndsAt.IsZero() && c.EndsAt.Before(sent) {
			t.Errorf("expired %v, ends at %v", c.Expired, c.EndsAt)
		}
		checkCode(t, reflect.ValueOf(*c))
		checkRoundTrip(t, c)
	})
}

// FuzzKeys checks that the names of keys are fit for a metric's labels, and few.
func FuzzKeys(f *testing.F) {
	seeds(f, func(body []byte) { f.Add(body) })
	for _, members := range []string{`"a":1,"\u0061":{},"A":1,"":[],"\ud800":1`, `"a":1,"a":2,"username":1`} {
		f.Add([]byte(with("user", members)))
		f.Add([]byte(with("", members)))
	}
	label := regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	f.Fuzz(func(t *testing.T, body []byte) {
		absent, unknown := upstream.KeysOf(body)
		if len(absent) > 100 || len(unknown) > 32+6 {
			t.Errorf("%d absent, %d unknown", len(absent), len(unknown))
		}
		for _, keys := range []map[upstream.Key]int64{absent, unknown} {
			for key, n := range keys {
				if n < 1 || !label.MatchString(key.Object) || !label.MatchString(key.Field) {
					t.Errorf("%+v: %d", key, n)
				}
			}
		}
	})
}

func FuzzRestoreGrant(f *testing.F) {
	seeds(f, func(body []byte) {
		if c, _, err := upstream.DecodeGrant(body, sent); err == nil {
			f.Add(upstream.EncodeGrant(c))
		}
	})
	f.Fuzz(func(t *testing.T, stored []byte) {
		c, err := upstream.RestoreGrant(string(stored))
		if err != nil {
			return
		}
		checkCode(t, reflect.ValueOf(*c))
		checkRoundTrip(t, c)
	})
}

// FuzzClassify checks that a 400, 401 or 403 is authentik's only if it is JSON, and what else is passed on of an answer.
func FuzzClassify(f *testing.F) {
	for _, release := range recordedReleases(f) {
		all, _ := recordings(f, release)
		for _, r := range all {
			f.Add(r.Status, r.Header["Content-Type"], r.Header["Retry-After"], "", []byte(r.Text))
		}
	}
	const date = "Wed, 21 Oct 2026 07:28:00 GMT"
	f.Add(503, "text/html", date, date, []byte("<html>"))
	f.Add(429, "", "Wednesday, 21-Oct-26 07:28:00 GMT", "", []byte{})
	f.Add(400, "application/json", "", "", []byte(`{"user":["no",1]}`))
	f.Add(401, "application/json", "", "", []byte(`{"detail":"no"} `))
	f.Fuzz(func(t *testing.T, status int, mime, retryAfter, date string, body []byte) {
		h := http.Header{"Content-Type": {mime}, "Retry-After": {retryAfter}, "Date": {date}}
		e := upstream.Classify(status, h, body)
		if e == nil {
			if status != http.StatusOK {
				t.Errorf("status %d with %q is worth decoding", status, body)
			}
			return
		}
		if e.RetryAfter < 0 || e.RetryAfter > time.Hour || e.RetryAfter%time.Second != 0 {
			t.Errorf("retry after %v", e.RetryAfter)
		}
		switch e.Kind {
		case upstream.BadInput, upstream.Unauthenticated, upstream.Forbidden:
			if !json.Valid(body) || !strings.Contains(strings.ToLower(mime), "json") {
				t.Errorf("%v by %q, labelled %q", e.Kind, body, mime)
			}
		}
		if len(e.Fields) > 8 || len(e.Fields) > 0 && e.Kind != upstream.BadInput {
			t.Errorf("fields %q of %v", e.Fields, e.Kind)
		}
	})
}

// FuzzValidJSON checks that the same texts are JSON as for encoding/json.
func FuzzValidJSON(f *testing.F) {
	seeds(f, func(body []byte) { f.Add(body) })
	for _, text := range []string{
		"", " ", "null", " true\n", "nul", "1", "-0", "01", "1.", "1e5", "1E+", "-", "{} {}", "[1,]", `{"a":1,"a":2}`, `{"a"}`, `{1:2}`,
		`"\ud800"`, `"\u12"`, `"\x"`, "\"\xff\"", "\"\x00\"", "\"\t\"", "\"\x7f\"", "\ufeff{}", "[\v]", `"`, "{", "]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := upstream.ValidJSON(text), json.Valid(text); got != want {
			t.Errorf("%q: %t, and %t by encoding/json", text, got, want)
		}
	})
}

// TestDeepJSON checks that JSON may be as deep as for encoding/json.
func TestDeepJSON(t *testing.T) {
	for depth, want := range map[int]bool{10_000: true, 10_001: false, 4 << 20: false} {
		text := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		if got := upstream.ValidJSON(text); got != want || json.Valid(text) != want {
			t.Errorf("depth %d: %t", depth, got)
		}
	}
}

func FuzzParsePK(f *testing.F) {
	for _, s := range []string{"1", "2147483647", "2147483648", "0", "01", "+1", "-1", "1.0", "", "9999999999", "\u0661"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		pk, err := upstream.ParsePK(s)
		n, parseErr := strconv.ParseInt(s, 10, 32)
		canonical := parseErr == nil && n > 0 && strconv.FormatInt(n, 10) == s
		if (err == nil) != canonical || err == nil && (int64(pk) != n || pk.String() != s) {
			t.Errorf("%q: %v, %v", s, pk, err)
		}
	})
}

func FuzzParseAuthorization(f *testing.F) {
	for _, s := range []string{"Bearer abc", "bearer a", "Bearer  a", "Bearer ", "Basic YQ==", "Bearer a\r\nX: y", "Bearer \u00fc", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := upstream.ParseAuthorization(http.Header{"Authorization": {line}})
		if got.IsZero() {
			return
		}
		token := []byte(line)[len("Bearer "):]
		if bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) || !same(got, upstream.NewCredential(string(token))) {
			t.Errorf("%q is a credential", line)
		}
	})
}

// FuzzBody reads a body in any coding: it never takes more than the cap, a text that was compressed comes back, and a
// part of one is cut.
func FuzzBody(f *testing.F) {
	for _, coding := range []string{"gzip", "zlib", "raw"} {
		f.Add(coding, []byte(packed(f, coding, body)), body, uint(20))
	}
	f.Add("br", []byte("\x8b"), "", uint(1))
	f.Add("gzip, gzip", []byte{}, "x", uint(10))
	f.Fuzz(func(t *testing.T, coding string, sent []byte, text string, most uint) {
		if got, err := upstream.ReadBody(coding, sent); err == nil && len(got) > upstream.MaxBody {
			t.Errorf("%d bytes", len(got))
		}
		for _, of := range []string{"gzip", "zlib", "raw"} {
			name := map[string]string{"gzip": "gzip", "zlib": "deflate", "raw": "deflate"}[of]
			whole := []byte(packed(t, of, text))
			if got, err := upstream.ReadBody(name, whole); err != nil || string(got) != text {
				t.Errorf("%s: got %q, %v, want %q", of, got, err, text)
			}
			part := whole[:1+most%uint(len(whole)-1)] // a body of no bytes is an empty one in any coding
			if got, err := upstream.ReadBody(name, part); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, cut after %d of %d bytes: got %q, %v", of, len(part), len(whole), got, err)
			}
		}
	})
}

//go:build linux

package faults

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// answer is what the service said to a question, and when.
type answer struct {
	status       int
	header       http.Header
	body         []byte
	begun, ended time.Time
}

// reading is what a right answer says.
type reading struct {
	data, stale bool
	code        string // of the error, if there is no data
}

// read checks an answer to a question. Its error says what is wrong with the answer: not that it is
// an error, but that nobody may get it. secrets are what no answer may hold.
func (a answer) read(q question, secrets []string) (reading, error) {
	if err := a.leak(secrets); err != nil {
		return reading{}, err
	}
	if q.way == zipped && len(a.body) >= compressedFrom && a.header.Get("Content-Encoding") != "gzip" {
		return reading{}, fmt.Errorf("%d bytes are not compressed", len(a.body))
	}
	field, r, err := a.result(cmp.Or(q.status, http.StatusOK))
	if err != nil {
		return reading{}, err
	}
	return r, q.check(field, a, r)
}

// result is the value of the answer's only field, or else its only error.
func (a answer) result(status int) (field json.RawMessage, r reading, err error) {
	var got struct {
		Data   map[string]json.RawMessage
		Errors []struct {
			Extensions struct{ Code string }
		}
		Extensions struct {
			Cache struct{ Status string }
		}
	}
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != status {
		return nil, reading{}, fmt.Errorf("status %d, %v: %.300s", a.status, err, a.body)
	}
	for _, value := range got.Data {
		if string(value) != "null" {
			field = value
		}
	}
	switch {
	case len(got.Errors) == 1 && field == nil && got.Errors[0].Extensions.Code != "":
		return nil, reading{code: got.Errors[0].Extensions.Code}, nil
	case len(got.Errors) > 0 || field == nil || len(got.Data) > 1:
		return nil, reading{}, fmt.Errorf("neither one value nor one error with a code of its own: %s", a.body)
	}
	return field, reading{data: true, stale: got.Extensions.Cache.Status == "STALE"}, nil
}

// leak finds what is inside the service only.
func (a answer) leak(secrets []string) error {
	var all strings.Builder
	_ = a.header.Write(&all)
	all.Write(a.body)
	text := strings.ToLower(all.String())
	for _, secret := range append([]string{"<html", "127.0.0.1"}, secrets...) {
		if strings.Contains(text, strings.ToLower(secret)) {
			return fmt.Errorf("%q is in the answer: %s", secret, all.String())
		}
	}
	return nil
}

type codeAnswer struct {
	ID        string
	IsExpired bool
	FetchedAt time.Time
	User      struct{ Username string }
}

// check compares a code with the one in the fixture.
func (c *codeAnswer) check(q ask, a answer, stale bool) error {
	switch {
	case q.foreign():
		return fmt.Errorf("%s is shown %s's code: %s", q.caller.name, q.code.Owner, a.body)
	case c.ID != strconv.Itoa(int(q.code.PK)) || c.User.Username != q.code.Owner:
		return fmt.Errorf("not code %d of %s: %s", q.code.PK, q.code.Owner, a.body)
	case c.IsExpired && a.ended.Before(q.code.Expires), !c.IsExpired && a.begun.After(q.code.Expires):
		// While it is asked for a code may expire; either answer is right then.
		return fmt.Errorf("isExpired is wrong between %s and %s, of a code that expires at %s: %s", a.begun, a.ended, q.code.Expires, a.body)
	case c.FetchedAt.After(a.ended):
		return fmt.Errorf("fetchedAt is after the answer: %s", a.body)
	case !stale && c.FetchedAt.Before(a.begun.Add(-cacheTTL-time.Millisecond)):
		return fmt.Errorf("fetchedAt is %s before the request, and the answer does not say that it is stale: %s", a.begun.Sub(c.FetchedAt), a.body)
	}
	return q.book.wronglyShown(q.code.PK, a.begun, c.FetchedAt)
}

// TestWrongAnswersAreFound: a check that lets everything pass would make the table worthless.
func TestWrongAnswersAreFound(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	own := ask{
		caller: caller{name: upstreamtest.UserAlice},
		code:   upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: begun.Add(time.Hour)},
	}
	foreign := own
	foreign.caller.name = upstreamtest.UserBob
	const right = `{"data":{"authorizationCode":{"id":"17","isExpired":false,"fetchedAt":"2026-01-02T03:04:05Z","user":{"username":"alice"}}}}`
	changed := func(from, to string) string { return strings.Replace(right, from, to, 1) }
	tests := []struct {
		name string
		ask  ask
		body string
		want bool
	}{
		{"right", own, right, true},
		{"an error with a code", own, `{"errors":[{"extensions":{"code":"UPSTREAM_ERROR"}}],"data":{"authorizationCode":null}}`, true},
		{"old and said to be", own, strings.Replace(changed("03:04:05Z", "03:04:00Z"), `{"data"`, `{"extensions":{"cache":{"status":"STALE"}},"data"`, 1), true},
		{"old", own, changed("03:04:05Z", "03:04:00Z"), false},
		{"from the future", own, changed("03:04:05Z", "03:05:00Z"), false},
		{"another's code", foreign, right, false},
		{"another id", own, changed(`"17"`, `"18"`), false},
		{"another user", own, changed("alice", "bob"), false},
		{"expired before its time", own, changed("false", "true"), false},
		{"an error without a code", own, `{"errors":[{"message":"no"}],"data":{"authorizationCode":null}}`, false},
		{"data with an error", own, changed(`{"data"`, `{"errors":[{"extensions":{"code":"UPSTREAM_ERROR"}}],"data"`), false},
		{"nothing", own, `{"data":{"authorizationCode":null}}`, false},
		{"a page", own, `<!DOCTYPE html><HTML>`, false},
		{"an address", own, changed("{", `{"message":"dial 127.0.0.1:1",`), false},
		{"a secret", own, changed("{", `{"message":"s3cret",`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := answer{status: http.StatusOK, body: []byte(tt.body), begun: begun, ended: begun.Add(time.Second)}
			if _, err := a.read(tt.ask.question(), []string{"s3cret"}); (err == nil) != tt.want {
				t.Errorf("right: %v, want %v (%v)", err == nil, tt.want, err)
			}
		})
	}
}

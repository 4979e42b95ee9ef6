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

// response is what the service answered, and when.
type response struct {
	status       int
	header       http.Header
	body         []byte
	begun, ended time.Time
}

// result is what a well-formed GraphQL response holds.
type result struct {
	data, stale bool
	code        string // of the error, if there is no data
}

// check checks a response to a request. An error in the response is no error of check: its own says why
// no caller may get such a response. No response may hold any of the secrets.
func (r response) check(q request, secrets []string) (result, error) {
	if err := r.checkLeaks(secrets); err != nil {
		return result{}, err
	}
	if q.transport == viaPOSTGzip && len(r.body) >= compressedSize && r.header.Get("Content-Encoding") != "gzip" {
		return result{}, fmt.Errorf("%d bytes are not compressed", len(r.body))
	}
	field, got, err := r.parse(cmp.Or(q.status, http.StatusOK))
	if err != nil {
		return result{}, err
	}
	return got, q.check(field, r, got)
}

// parse returns the value of the response's only field, or its only error.
func (r response) parse(status int) (json.RawMessage, result, error) {
	var got struct {
		Data   map[string]json.RawMessage
		Errors []struct {
			Extensions struct{ Code string }
		}
		Extensions struct {
			Cache struct{ Status string }
		}
	}
	if err := json.Unmarshal(r.body, &got); err != nil || r.status != status {
		return nil, result{}, fmt.Errorf("status %d, %v: %.300s", r.status, err, r.body)
	}
	var field json.RawMessage
	for _, value := range got.Data {
		if string(value) != "null" {
			field = value
		}
	}
	switch {
	case len(got.Errors) == 1 && field == nil && got.Errors[0].Extensions.Code != "":
		return nil, result{code: got.Errors[0].Extensions.Code}, nil
	case len(got.Errors) > 0 || field == nil || len(got.Data) > 1:
		return nil, result{}, fmt.Errorf("neither one value nor one error with a code of its own: %s", r.body)
	}
	return field, result{data: true, stale: got.Extensions.Cache.Status == "STALE"}, nil
}

// checkLeaks looks for secrets, addresses and pages of HTML.
func (r response) checkLeaks(secrets []string) error {
	var all strings.Builder
	_ = r.header.Write(&all)
	all.Write(r.body)
	text := strings.ToLower(all.String())
	for _, secret := range append([]string{"<html", "127.0.0.1"}, secrets...) {
		if strings.Contains(text, strings.ToLower(secret)) {
			return fmt.Errorf("%q is in the response: %s", secret, all.String())
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
func (c *codeAnswer) check(l lookup, r response, stale bool) error {
	switch {
	case l.foreign():
		return fmt.Errorf("%s is shown %s's code: %s", l.caller.name, l.code.Owner, r.body)
	case c.ID != strconv.Itoa(int(l.code.PK)) || c.User.Username != l.code.Owner:
		return fmt.Errorf("not code %d of %s: %s", l.code.PK, l.code.Owner, r.body)
	case c.IsExpired && r.ended.Before(l.code.Expires), !c.IsExpired && r.begun.After(l.code.Expires):
		// Either value is right for a code that expires during the request.
		return fmt.Errorf("isExpired is wrong between %s and %s, of a code that expires at %s: %s", r.begun, r.ended, l.code.Expires, r.body)
	case c.FetchedAt.After(r.ended):
		return fmt.Errorf("fetchedAt is after the response: %s", r.body)
	case !stale && c.FetchedAt.Before(r.begun.Add(-cacheTTL-time.Millisecond)):
		return fmt.Errorf("fetchedAt is %s before the request, and the response does not say that it is stale: %s", r.begun.Sub(c.FetchedAt), r.body)
	}
	return l.ledger.checkShown(l.code.PK, r.begun, c.FetchedAt)
}

// TestWrongResponsesAreFound: checks that let everything pass would make the table worthless.
func TestWrongResponsesAreFound(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	own := lookup{
		caller: caller{name: upstreamtest.UserAlice},
		code:   upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: begun.Add(time.Hour)},
	}
	foreign := own
	foreign.caller.name = upstreamtest.UserBob
	const right = `{"data":{"authorizationCode":{"id":"17","isExpired":false,"fetchedAt":"2026-01-02T03:04:05Z","user":{"username":"alice"}}}}`
	changed := func(from, to string) string { return strings.Replace(right, from, to, 1) }
	tests := []struct {
		name   string
		lookup lookup
		body   string
		want   bool
	}{
		{"right", own, right, true},
		{"an error with a code", own, `{"errors":[{"extensions":{"code":"UPSTREAM_ERROR"}}],"data":{"authorizationCode":null}}`, true},
		{"stale and marked as stale", own, strings.Replace(changed("03:04:05Z", "03:04:00Z"), `{"data"`, `{"extensions":{"cache":{"status":"STALE"}},"data"`, 1), true},
		{"stale", own, changed("03:04:05Z", "03:04:00Z"), false},
		{"from the future", own, changed("03:04:05Z", "03:05:00Z"), false},
		{"another caller's code", foreign, right, false},
		{"another id", own, changed(`"17"`, `"18"`), false},
		{"another user", own, changed("alice", "bob"), false},
		{"expired before its time", own, changed("false", "true"), false},
		{"an error without a code", own, `{"errors":[{"message":"no"}],"data":{"authorizationCode":null}}`, false},
		{"data with an error", own, changed(`{"data"`, `{"errors":[{"extensions":{"code":"UPSTREAM_ERROR"}}],"data"`), false},
		{"neither data nor an error", own, `{"data":{"authorizationCode":null}}`, false},
		{"a page", own, `<!DOCTYPE html><HTML>`, false},
		{"an address", own, changed("{", `{"message":"dial 127.0.0.1:1",`), false},
		{"a secret", own, changed("{", `{"message":"s3cret",`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := response{status: http.StatusOK, body: []byte(tt.body), begun: begun, ended: begun.Add(time.Second)}
			if _, err := r.check(tt.lookup.request(), []string{"s3cret"}); (err == nil) != tt.want {
				t.Errorf("accepted: %v, want %v (%v)", err == nil, tt.want, err)
			}
		})
	}
}

package upstreamtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// all returns every row of a list as root sees it, page by page.
func all(t *testing.T, srv *httptest.Server, resource upstreamtest.Resource, filter string) []listedRow {
	t.Helper()
	var rows []listedRow
	for page := 1; page > 0; {
		l := getList(t, srv, resource, fmt.Sprintf("?ordering=pk&page_size=100&page=%d&%s", page, filter), upstreamtest.TokenRoot)
		rows = append(rows, l.Results...)
		page = l.Pagination.Next
	}
	return rows
}

// From the first second on and at any later time each list has several pages,
// with rows of every kind.
func TestDemoLists(t *testing.T) {
	c := newClock()
	d := upstreamtest.NewDemo(upstreamtest.Options{Now: c.Now})
	srv := start(t, d.Authentik)
	for _, wait := range []time.Duration{0, 37 * time.Minute, 5 * time.Hour, 60 * 24 * time.Hour} {
		d.Step(c.advance(wait))
		for _, resource := range upstreamtest.Resources() {
			for user, owner := range map[int]string{101: "alice", 102: "bob"} {
				rows := all(t, srv, resource, fmt.Sprint("user=", user))
				expired, valid, revoked, garbled := 0, 0, 0, 0
				for _, row := range rows {
					if row.User.Username != owner || (row.PK%2 == 0) != (owner == "alice") && row.PK > upstreamtest.DemoBob {
						t.Errorf("%s %d is %s's", resource, row.PK, row.User.Username)
					}
					if row.IsExpired {
						expired++
					} else {
						valid++
					}
					if row.Revoked {
						revoked++
					}
					if resource != codes && !json.Valid([]byte(row.IDToken)) {
						garbled++
					}
				}
				if len(rows) < 45 || len(rows) > 200 || expired < 5 || valid < 3 {
					t.Errorf("after %v, %s of %s: %d rows, %d expired, %d valid", wait, resource, owner, len(rows), expired, valid)
				}
				if resource != codes && (revoked < 3 || revoked > len(rows)/2 || garbled < 2 || garbled > len(rows)/3) {
					t.Errorf("after %v, %s of %s: %d rows, %d revoked, %d garbled", wait, resource, owner, len(rows), revoked, garbled)
				}
			}
		}
	}
}

// The fixed ids mean the same whatever the resource, and everybody may delete
// his own rows.
func TestDemoFixedIDs(t *testing.T) {
	const alice, bob, root = upstreamtest.TokenAlice, upstreamtest.TokenBob, upstreamtest.TokenRoot
	d := upstreamtest.NewDemo(upstreamtest.Options{})
	srv := start(t, d.Authentik)
	for _, resource := range upstreamtest.Resources() {
		for _, tt := range []struct {
			method string
			pk     int32
			token  string
			want   int
		}{
			{"GET", upstreamtest.DemoAlice, alice, 200},
			{"GET", upstreamtest.DemoAlice, bob, 404},
			{"GET", upstreamtest.DemoBob, root, 200},
			{"GET", upstreamtest.DemoUnknown, root, 404},
			{"GET", upstreamtest.DemoHistory, alice, 200},
			{"GET", 401, alice, 403},
			{"GET", 429, bob, 429},
			{"GET", 503, root, 503},
			{"DELETE", upstreamtest.DemoAlice, bob, 404},
			{"DELETE", upstreamtest.DemoAlice, alice, 204},
			{"GET", upstreamtest.DemoAlice, root, 404},
			{"DELETE", upstreamtest.DemoBob, root, 204},
			{"DELETE", upstreamtest.DemoHistory + 1, bob, 204},
		} {
			url := fmt.Sprintf("%s%s%d/", srv.URL, resource.Path(), tt.pk)
			if status, _, body := send(t, tt.method, url, bearer(tt.token)); status != tt.want {
				t.Errorf("%s %s %d as %s: %d, want %d: %.100s", tt.method, resource, tt.pk, tt.token, status, tt.want, body)
			}
		}
	}
	plain := upstreamtest.NewDemo(upstreamtest.Options{Permissions: map[string][]string{}})
	url := fmt.Sprintf("%s%s%d/", start(t, plain.Authentik).URL, access.Path(), upstreamtest.DemoAlice)
	if status, _, _ := send(t, http.MethodDelete, url, bearer(alice)); status != 403 {
		t.Errorf("without permissions: %d", status)
	}
}

// mintedTokens returns the tokens that come and go.
func mintedTokens(d *upstreamtest.Demo, resource upstreamtest.Resource, upTo int32) map[int32]upstreamtest.Token {
	tokens := map[int32]upstreamtest.Token{}
	for pk := upstreamtest.DemoFirst; pk <= upTo; pk++ {
		if token, ok := d.Token(resource, pk); ok {
			tokens[pk] = token
		}
	}
	return tokens
}

// tokenSight is when a token was first, last and first revoked seen.
type tokenSight struct {
	token                upstreamtest.Token
	first, last, revoked time.Time
}

func TestDemoTokenLife(t *testing.T) {
	const watch, step = 4 * time.Hour, 5 * time.Second
	for _, tt := range []struct {
		resource          upstreamtest.Resource
		validity          time.Duration
		youngest, longest time.Duration // age of those that go
	}{
		{access, time.Hour, time.Hour, 65*time.Minute + step},
		{refresh, 30 * 24 * time.Hour, 2 * time.Hour, 2*time.Hour + step},
	} {
		t.Run(string(tt.resource), func(t *testing.T) {
			c := newClock()
			begin := c.Now()
			d := upstreamtest.NewDemo(upstreamtest.Options{Now: c.Now})
			seen := map[int32]*tokenSight{}
			for now := begin; now.Before(begin.Add(watch)); now = c.advance(step) {
				d.Step(now)
				for pk, token := range mintedTokens(d, tt.resource, d.NewestOf(tt.resource)) {
					s := seen[pk]
					if s == nil {
						s = &tokenSight{token: token, first: now}
						seen[pk] = s
					}
					s.last = now
					if token.Revoked && s.revoked.IsZero() {
						s.revoked = now
					}
				}
			}
			gone, revoked := 0, 0
			for pk, s := range seen {
				made := s.token.Expires.Add(-tt.validity)
				if s.first.After(begin) && s.first.Sub(made) > step {
					t.Errorf("%d first seen %v after it was made", pk, s.first.Sub(made))
				}
				if !s.revoked.IsZero() {
					revoked++
					if age := s.revoked.Sub(made); s.first.After(begin) && (age < 2*time.Minute || age > 2*time.Minute+step) {
						t.Errorf("%d revoked at the age of %v", pk, age)
					}
				}
				if s.last.Before(c.Now().Add(-step)) {
					gone++
					if age := s.last.Add(step).Sub(made); age < tt.youngest || age > tt.longest {
						t.Errorf("%d went at the age of %v", pk, age)
					}
				}
			}
			// One in 35 seconds, every fifth of which is revoked.
			if len(seen) < 400 || gone < 150 || revoked < len(seen)/6 || revoked > len(seen)/4 {
				t.Errorf("%d tokens, %d went, %d were revoked", len(seen), gone, revoked)
			}
		})
	}
}

// A code that is redeemed leaves its owner a token of either kind for the same
// provider and scope.
func TestDemoRedemption(t *testing.T) {
	c := newClock()
	d := upstreamtest.NewDemo(upstreamtest.Options{Now: c.Now})
	redeemed := 0
	for range 300 {
		before, newest := minted(d, 2000), d.NewestOf(access)
		now := c.advance(time.Second)
		d.Step(now)
		var gone []upstreamtest.Code
		for pk, code := range before {
			if _, there := d.Code(pk); !there && code.Expires.After(now) {
				gone = append(gone, code)
			}
		}
		if made := int(d.NewestOf(access) - newest); made != len(gone) || d.NewestOf(refresh) != d.NewestOf(access) {
			t.Fatalf("%d codes redeemed, %d tokens made", len(gone), made)
		}
		for _, code := range gone {
			redeemed++
			for _, resource := range []upstreamtest.Resource{access, refresh} {
				token, _ := d.Token(resource, d.NewestOf(resource))
				if token.Owner != code.Owner || token.Provider != code.Provider || !slices.Equal(token.Scope[:3], code.Scope) {
					t.Errorf("%s %+v of code %+v", resource, token, code)
				}
			}
		}
	}
	if redeemed < 8 {
		t.Errorf("%d codes redeemed in five minutes", redeemed)
	}
}

// However rarely the demo is stepped, it arrives at the same tokens.
func TestDemoTokensDependOnNowAlone(t *testing.T) {
	for _, span := range []time.Duration{42 * time.Minute, 3 * time.Hour} {
		often, seldom := newClock(), newClock()
		a := upstreamtest.NewDemo(upstreamtest.Options{Now: often.Now})
		b := upstreamtest.NewDemo(upstreamtest.Options{Now: seldom.Now})
		for range span / time.Minute {
			a.Step(often.advance(time.Minute))
		}
		b.Step(seldom.advance(span))
		for _, resource := range []upstreamtest.Resource{access, refresh} {
			got, want := mintedTokens(a, resource, a.NewestOf(resource)), mintedTokens(b, resource, b.NewestOf(resource))
			same := maps.EqualFunc(got, want, func(x, y upstreamtest.Token) bool {
				return x.Owner == y.Owner && x.Expires.Equal(y.Expires) && x.Revoked == y.Revoked
			})
			if !same || len(got) < 50 {
				t.Errorf("%v, %s: stepped %d rows, at once %d rows", span, resource, len(got), len(want))
			}
		}
	}
}

// A token that was deleted is not brought back by its revocation.
func TestDemoDeletedTokenStaysAway(t *testing.T) {
	c := newClock()
	d := upstreamtest.NewDemo(upstreamtest.Options{Now: c.Now})
	for _, resource := range []upstreamtest.Resource{access, refresh} {
		for pk := range mintedTokens(d, resource, d.NewestOf(resource)) {
			d.RemoveToken(resource, pk)
		}
		newest := d.NewestOf(resource)
		d.Step(c.advance(3 * time.Minute))
		if back := mintedTokens(d, resource, newest); len(back) != 0 {
			t.Errorf("%s: back are %v", resource, slices.Collect(maps.Keys(back)))
		}
	}
}

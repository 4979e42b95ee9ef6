package upstreamtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// listed is a page of a list as a client reads it.
type listed struct {
	Pagination struct {
		Next  int `json:"next"`
		Count int `json:"count"`
	} `json:"pagination"`
	Results []listedRow `json:"results"`
}

type listedRow struct {
	PK   int32 `json:"pk"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	IsExpired bool   `json:"is_expired"`
	IDToken   string `json:"id_token"`
	Revoked   bool   `json:"revoked"`
}

func getList(t *testing.T, srv *httptest.Server, resource upstreamtest.Resource, query, token string) listed {
	t.Helper()
	status, _, body := send(t, http.MethodGet, srv.URL+resource.Path()+query, bearer(token))
	var l listed
	if err := json.Unmarshal(body, &l); err != nil || status != http.StatusOK {
		t.Fatalf("%s%s: %d, %v: %.200s", resource, query, status, err, body)
	}
	return l
}

func pks(l listed) []int32 {
	ids := make([]int32, len(l.Results))
	for i, row := range l.Results {
		ids[i] = row.PK
	}
	return ids
}

// addRow adds a code, or a token that has the same in the fields of a code.
func addRow(fake *upstreamtest.Authentik, resource upstreamtest.Resource, c upstreamtest.Code) int32 {
	if resource == upstreamtest.AuthorizationCodes {
		return fake.AddCode(c)
	}
	return fake.AddToken(resource, upstreamtest.Token{
		PK: c.PK, Owner: c.Owner, Provider: c.Provider, Expires: c.Expires, NeverExpires: c.NeverExpires, Scope: c.Scope,
	})
}

func TestOrdering(t *testing.T) {
	for _, resource := range upstreamtest.Resources() {
		t.Run(string(resource), func(t *testing.T) { testOrdering(t, resource) })
	}
}

func testOrdering(t *testing.T, resource upstreamtest.Resource) {
	fake := upstreamtest.New(upstreamtest.Options{})
	for _, c := range []upstreamtest.Code{
		{PK: 1, Owner: "bob", Provider: 2, Expires: anHourAhead},
		{PK: 2, Owner: "alice", Provider: 1},
		{PK: 3, Owner: "alice", Provider: 2, Expires: anHourAhead.Add(-time.Minute)},
		{PK: 4, Owner: "bob", Provider: 1, Expires: anHourAhead.Add(time.Minute)},
	} {
		addRow(fake, resource, c)
	}
	srv := start(t, fake)
	for _, tt := range []struct {
		query string
		want  []int32
	}{
		{"", []int32{4, 2, 3, 1}}, // provider, expires, null last
		{"?ordering=pk", []int32{1, 2, 3, 4}},
		{"?ordering=-pk", []int32{4, 3, 2, 1}},
		{"?ordering=expires", []int32{3, 1, 4, 2}},
		{"?ordering=-expires", []int32{2, 4, 1, 3}},
		{"?ordering=user,-pk", []int32{3, 2, 4, 1}},
		{"?ordering=nonsense,-pk", []int32{4, 3, 2, 1}},
		{"?ordering=nonsense", []int32{4, 2, 3, 1}},
		{"?ordering=--pk", []int32{4, 2, 3, 1}},
		{"?ordering=pk&user=102", []int32{1, 4}},
		{"?ordering=pk&user=101&user=102", []int32{1, 4}},
		{"?ordering=pk&user=&provider=2", []int32{1, 3}},
		{"?ordering=pk&user=101&provider=2", []int32{3}},
		{"?ordering=pk&page_size=3&page=2", []int32{4}},
		{"?ordering=pk&page_size=3&page=last", []int32{4}},
	} {
		t.Run(tt.query, func(t *testing.T) {
			got := pks(getList(t, srv, resource, tt.query, upstreamtest.TokenRoot))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// pagination is what a first page says of itself.
func pagination(next, count, pages, end int) string {
	return fmt.Sprintf(`{"next":%d,"previous":0,"count":%d,"current":1,"total_pages":%d,"start_index":1,"end_index":%d}`, next, count, pages, end)
}

func TestPageSizes(t *testing.T) {
	for _, tt := range []struct {
		release upstreamtest.Release
		query   string
		want    string
	}{
		{upstreamtest.R2025_8, "", `{"next":2,"previous":0,"count":230,"current":1,"total_pages":3,"start_index":1,"end_index":100}`},
		{upstreamtest.R2025_8, "?page=last", `{"next":0,"previous":2,"count":230,"current":3,"total_pages":3,"start_index":201,"end_index":230}`},
		{upstreamtest.R2025_8, "?page_size=99999999999999999999", `{"next":0,"previous":0,"count":230,"current":1,"total_pages":1,"start_index":1,"end_index":230}`},
		{upstreamtest.R2026_2, "?page_size=-1", `{"next":2,"previous":0,"count":230,"current":1,"total_pages":12,"start_index":1,"end_index":20}`},
		{upstreamtest.R2026_2, "?page_size=1000", `{"next":2,"previous":0,"count":230,"current":1,"total_pages":3,"start_index":1,"end_index":100}`},
		{upstreamtest.R2026_2, "?provider=3", `{"next":0,"previous":0,"count":0,"current":1,"total_pages":1,"start_index":0,"end_index":0}`},
	} {
		t.Run(string(tt.release)+tt.query, func(t *testing.T) {
			fake := upstreamtest.New(upstreamtest.Options{Release: tt.release})
			for range 230 {
				fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
			}
			srv := start(t, fake)
			_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+tt.query, bearer(upstreamtest.TokenAlice))
			if !strings.HasPrefix(string(body), `{"pagination":`+tt.want+`,`) {
				t.Errorf("got %.200s", body)
			}
		})
	}
}

// The settings of the tenant count from the release on that has them.
func TestTenantPageSizes(t *testing.T) {
	for _, tt := range []struct {
		release upstreamtest.Release
		query   string
		want    string
	}{
		{upstreamtest.R2025_8, "", pagination(0, 70, 1, 70)},
		{upstreamtest.R2025_8, "?page_size=60", pagination(2, 70, 2, 60)},
		{upstreamtest.R2025_12, "", pagination(2, 70, 10, 7)},
		{upstreamtest.R2025_12, "?page_size=0", pagination(2, 70, 10, 7)},
		{upstreamtest.R2026_2, "?page_size=25", pagination(2, 70, 3, 25)},
		{upstreamtest.R2026_2, "?page_size=60", pagination(2, 70, 3, 30)},
	} {
		for _, resource := range upstreamtest.Resources() {
			t.Run(fmt.Sprint(tt.release, resource, tt.query), func(t *testing.T) {
				fake := upstreamtest.New(upstreamtest.Options{Release: tt.release, PageSize: 7, MaxPageSize: 30})
				for range 70 {
					addRow(fake, resource, upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
				}
				srv := start(t, fake)
				_, _, body := send(t, http.MethodGet, srv.URL+resource.Path()+tt.query, bearer(upstreamtest.TokenAlice))
				if !strings.HasPrefix(string(body), `{"pagination":`+tt.want+`,`) {
					t.Errorf("got %.200s", body)
				}
			})
		}
	}
}

// Rows that come and go between two pages shift what the second one shows.
func TestRowsBetweenPages(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*upstreamtest.Authentik, upstreamtest.Resource)
		want   []int32
	}{
		{"nothing", func(*upstreamtest.Authentik, upstreamtest.Resource) {}, []int32{13, 14}},
		{"row of the first page goes", func(a *upstreamtest.Authentik, r upstreamtest.Resource) { a.Remove(r, 11) }, []int32{14}},
		{"row of the second page goes", func(a *upstreamtest.Authentik, r upstreamtest.Resource) { a.Remove(r, 13) }, []int32{14}},
		{"row comes first", func(a *upstreamtest.Authentik, r upstreamtest.Resource) {
			addRow(a, r, upstreamtest.Code{PK: 1, Owner: upstreamtest.UserAlice})
		}, []int32{12, 13}},
	} {
		for _, resource := range upstreamtest.Resources() {
			t.Run(tt.name+"/"+string(resource), func(t *testing.T) {
				var fake *upstreamtest.Authentik
				var requests atomic.Int32
				fake = upstreamtest.New(upstreamtest.Options{OnRequest: func(*http.Request) {
					if requests.Add(1) == 2 {
						tt.change(fake, resource)
					}
				}})
				for pk := int32(11); pk <= 14; pk++ {
					addRow(fake, resource, upstreamtest.Code{PK: pk, Owner: upstreamtest.UserAlice})
				}
				srv := start(t, fake)
				first := getList(t, srv, resource, "?ordering=pk&page_size=2", upstreamtest.TokenAlice)
				if got := pks(first); !slices.Equal(got, []int32{11, 12}) || first.Pagination.Next != 2 {
					t.Errorf("first page %v, next %d", got, first.Pagination.Next)
				}
				second := getList(t, srv, resource, "?ordering=pk&page_size=2&page=2", upstreamtest.TokenAlice)
				if got := pks(second); !slices.Equal(got, tt.want) {
					t.Errorf("second page %v, want %v", got, tt.want)
				}
			})
		}
	}
}

package upstream_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// hostile is a page of the given pagination and rows.
func hostile(pagination, rows string) string {
	return `{"pagination":` + pagination + `,"results":` + rows + `}`
}

// pagination is that of a list in one page.
func pagination(count, current, pages, start, end int) string {
	return fmt.Sprintf(`{"next":0,"previous":0,"count":%d,"current":%d,"total_pages":%d,"start_index":%d,"end_index":%d}`, count, current, pages, start, end)
}

func rowsOf(pks ...int) string {
	rows := make([]string, len(pks))
	for i, pk := range pks {
		rows[i] = strings.Replace(minimal, `"pk":7`, fmt.Sprintf(`"pk":%d`, pk), 1)
	}
	return "[" + strings.Join(rows, ",") + "]"
}

// TestHostilePages checks that a page that contradicts itself, or is no page, is an error and costs one call.
func TestHostilePages(t *testing.T) {
	one := pagination(1, 1, 1, 1, 1)
	for name, body := range map[string]string{
		"empty":                      ``,
		"no JSON":                    `{"pagination":`,
		"no object":                  `[]`,
		"null":                       `null`,
		"no pagination":              `{"results":[]}`,
		"no results":                 `{"pagination":` + one + `}`,
		"results null":               hostile(one, `null`),
		"results an object":          hostile(one, `{"0":`+minimal+`}`),
		"pagination a list":          hostile(`[1]`, `[]`),
		"pagination null":            hostile(`null`, `[]`),
		"pagination empty":           hostile(`{}`, `[]`),
		"numbers as texts":           hostile(strings.ReplaceAll(one, `1`, `"1"`), rowsOf(1)),
		"a count of null":            hostile(strings.Replace(one, `"count":1`, `"count":null`, 1), rowsOf(1)),
		"a count that is no integer": hostile(strings.Replace(one, `"count":1`, `"count":1.5`, 1), rowsOf(1)),
		"a count beyond 32 bits":     hostile(strings.Replace(one, `"count":1`, `"count":2147483648`, 1), rowsOf(1)),
		"a negative count":           hostile(strings.Replace(one, `"count":1`, `"count":-1`, 1), rowsOf(1)),
		"a negative count, no rows":  hostile(pagination(-1, 1, 1, 0, 0), `[]`),
		"a negative start":           hostile(pagination(1, 1, 1, -5, 1), rowsOf(1, 2)),
		"more rows than counted":     hostile(one, rowsOf(2, 1)),
		"another page":               hostile(pagination(40, 2, 2, 21, 40), rowsOf(2, 1)),
		"not from the start":         hostile(pagination(40, 1, 2, 21, 40), rowsOf(2, 1)),
		"rows in the wrong order":    hostile(pagination(2, 1, 1, 1, 2), rowsOf(1, 2)),
		"a row twice":                hostile(pagination(2, 1, 1, 1, 2), rowsOf(2, 2)),
		"a row of another kind":      hostile(one, `[1]`),
		"a row of null":              hostile(one, `[null]`),
		"a row without pk":           hostile(one, `[{"provider":{"pk":1},"user":{"pk":2}}]`),
		"a row with a pk of 0":       hostile(one, rowsOf(0)),
		"a row with a negative pk":   hostile(one, rowsOf(-1)),
		"a row with a pk as text":    hostile(one, strings.Replace("["+minimal+"]", `"pk":7`, `"pk":"7"`, 1)),
		"a row without provider":     hostile(one, `[{"pk":1,"user":{"pk":2}}]`),
		"a row without user":         hostile(one, `[{"pk":1,"provider":{"pk":1}}]`),
		"an error":                   `{"detail":"no"}`,
		"a code":                     minimal,
		"not UTF-8":                  hostile(one, strings.Replace(rowsOf(1), `"pk":2`, "\"pk\":2,\"name\":\"\xff\"", 1)),
		"deep":                       hostile(one, strings.Repeat(`[`, 20000)+strings.Repeat(`]`, 20000)),
		"4 MiB of a page":            hostile(one, "["+with("user", `"attributes":{"a":"`+strings.Repeat("x", 8<<20)+`"}`)+"]"),
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				answer(w, body)
			})
			list, err := client(t, server.URL).List(t.Context(), alice, upstream.AuthorizationCodes, upstream.Query{First: 20, MaxCalls: 10}, nil)
			wantKind(t, err, upstream.InvalidResponse)
			if list.Value != nil {
				t.Error("a list beside an error")
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestLargePage checks that a page within the size cap is read, however large its rows are.
func TestLargePage(t *testing.T) {
	big := with("user", `"attributes":{"a":"`+strings.Repeat("x", 3<<20)+`"}`)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, hostile(pagination(1, 1, 1, 1, 1), "["+big+"]"))
	})
	list, err := client(t, server.URL).List(t.Context(), alice, upstream.AuthorizationCodes, upstream.Query{First: 20, MaxCalls: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(list.Value.Rows[0].User.Attributes); n < 3<<20 {
		t.Errorf("%d bytes of %d", n, 3<<20)
	}
}

// TestListErrors has errors in place of a page.
func TestListErrors(t *testing.T) {
	for _, tt := range []struct {
		fault upstreamtest.Fault
		kind  upstream.Kind
		calls int
	}{
		{upstreamtest.TokenInvalid403, upstream.Unauthenticated, 1},
		{upstreamtest.Forbidden403, upstream.Forbidden, 1},
		{upstreamtest.BadRequest400, upstream.BadInput, 1},
		{upstreamtest.Throttled429, upstream.RateLimited, 1},
		{upstreamtest.Error500, upstream.Failed, 1},
		{upstreamtest.BackendDown502JSON, upstream.Unavailable, 3},
		{upstreamtest.HTML404, upstream.InvalidResponse, 1},
		{upstreamtest.HTML200, upstream.InvalidResponse, 1},
		{upstreamtest.Redirect302, upstream.InvalidResponse, 1},
		{upstreamtest.CutJSON, upstream.InvalidResponse, 3},
		{upstreamtest.Reset, upstream.Unavailable, 3},
		{upstreamtest.ListPageGone, upstream.InvalidResponse, 1},
		{upstreamtest.ListNoPagination, upstream.InvalidResponse, 1},
		{upstreamtest.ListNoResults, upstream.InvalidResponse, 1},
		{upstreamtest.ListRowNoPK, upstream.InvalidResponse, 1},
	} {
		t.Run(tt.fault.Name, func(t *testing.T) {
			fake, server := authentik(t, upstreamtest.Options{})
			fake.SetListFault(upstreamtest.AuthorizationCodes, tt.fault)
			_, err := client(t, server.URL).List(t.Context(), alice, upstream.AuthorizationCodes, upstream.Query{First: 20, MaxCalls: 10}, nil)
			wantKind(t, err, tt.kind)
			if n := fake.Calls().List; n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
		})
	}
	_, server := authentik(t, upstreamtest.Options{})
	_, err := client(t, server.URL).List(t.Context(), upstream.Credential{}, upstream.AuthorizationCodes, upstream.Query{First: 20, MaxCalls: 10}, nil)
	wantKind(t, err, upstream.Unauthenticated)
	for _, q := range []struct {
		upstream.Query
		field string
	}{
		{upstream.Query{First: 1, MaxCalls: 1, User: 999999}, "user"},
		{upstream.Query{First: 1, MaxCalls: 1, Provider: 999999}, "provider"},
	} {
		_, err := client(t, server.URL).List(t.Context(), alice, upstream.AuthorizationCodes, q.Query, nil)
		if e := wantKind(t, err, upstream.BadInput); !slices.Equal(e.Fields, []string{q.field}) {
			t.Errorf("fields %q, want %s", e.Fields, q.field)
		}
	}
}

// TestListThatNeverEnds checks that a list that repeats a page for ever is an error within MaxCalls.
func TestListThatNeverEnds(t *testing.T) {
	fake, server := authentik(t, upstreamtest.Options{MaxPageSize: 5})
	for range 30 {
		fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	}
	fake.SetListFault(upstreamtest.AuthorizationCodes, upstreamtest.ListNoEnd)
	_, err := client(t, server.URL).List(t.Context(), alice, upstream.AuthorizationCodes, upstream.Query{First: 100, MaxCalls: 10, After: &upstream.Position{PK: 30, Offset: 20}}, nil)
	wantKind(t, err, upstream.InvalidResponse)
	if n := fake.Calls().List; n > 10 {
		t.Errorf("%d calls", n)
	}
	// All rows are deleted before they are selected.
	var calls atomic.Int32
	server = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		answer(w, hostile(pagination(40, 1, 2, 0, 0), `[]`))
	})
	if _, err := client(t, server.URL).List(t.Context(), alice, upstream.AuthorizationCodes, upstream.Query{First: 20, MaxCalls: 10}, nil); err == nil || calls.Load() > 10 {
		t.Errorf("%d calls, error %v", calls.Load(), err)
	}
}

// TestListOfEveryRelease walks lists by pages of several sizes, in both orders, under every release's
// rules of page sizes and those of a tenant's settings.
func TestListOfEveryRelease(t *testing.T) {
	for _, release := range upstreamtest.Releases() {
		for name, o := range map[string]upstreamtest.Options{
			"as it comes":     {Release: release},
			"small pages":     {Release: release, PageSize: 5, MaxPageSize: 7},
			"smallest pages":  {Release: release, PageSize: 1, MaxPageSize: 1},
			"a large default": {Release: release, PageSize: 100, MaxPageSize: 30},
		} {
			t.Run(string(release)+", "+name, func(t *testing.T) {
				n := 120
				if o.MaxPageSize == 1 {
					n = 30
				}
				fake, server := authentik(t, o)
				fake.RemoveCode(pk)
				var pks []upstream.PK
				for i := range n {
					owner, provider := upstreamtest.UserAlice, upstreamtest.ProviderGrafana
					if i%3 == 1 {
						owner = upstreamtest.UserBob
					}
					if i%5 == 1 {
						provider = upstreamtest.ProviderMobile
					}
					got := fake.AddCode(upstreamtest.Code{Owner: owner, Provider: provider, Expires: time.Now().Add(time.Hour)})
					pks = append(pks, upstream.PK(got))
				}
				c, root := client(t, server.URL), upstream.NewCredential(upstreamtest.TokenRoot)
				every := func(keep func(i int) bool) (kept []upstream.PK) {
					for i, pk := range pks {
						if keep(i) {
							kept = append(kept, pk)
						}
					}
					return kept
				}
				for _, tt := range []struct {
					who  upstream.Credential
					q    upstream.Query
					want []upstream.PK
				}{
					{root, upstream.Query{First: 100}, pks},
					{root, upstream.Query{First: 7, Oldest: true}, pks},
					{root, upstream.Query{First: 20}, pks},
					{alice, upstream.Query{First: 20, Oldest: true}, every(func(i int) bool { return i%3 != 1 })},
					{root, upstream.Query{First: 9, User: 102}, every(func(i int) bool { return i%3 == 1 })},
					{root, upstream.Query{First: 9, Provider: 2, Oldest: true}, every(func(i int) bool { return i%5 == 1 })},
					{alice, upstream.Query{First: 9, User: 102}, nil},
				} {
					if got := walk(t, c, tt.who, tt.q, len(tt.want)); !slices.Equal(got, ordered(tt.want, tt.q.Oldest)) {
						t.Errorf("%+v: got %v", tt.q, got)
					}
				}
				if name != "as it comes" {
					return
				}
				fake.ResetCalls()
				if _, err := c.List(t.Context(), root, upstream.AuthorizationCodes, upstream.Query{First: 100, MaxCalls: 10}, nil); err != nil {
					t.Fatal(err)
				}
				if n := fake.Calls().List; n != 1 {
					t.Errorf("%d calls for a first page of 100, want 1", n)
				}
			})
		}
	}
}

func ordered(pks []upstream.PK, oldest bool) []upstream.PK {
	pks = slices.Clone(pks)
	if !oldest {
		slices.Reverse(pks)
	}
	return pks
}

// walk reads a list page by page.
func walk(t *testing.T, c *upstream.Client, who upstream.Credential, q upstream.Query, count int) (pks []upstream.PK) {
	t.Helper()
	q.MaxCalls = 500
	for range 500 {
		list, err := c.List(t.Context(), who, upstream.AuthorizationCodes, q, nil)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		rows := list.Value
		if len(rows.Rows) > q.First || rows.Count != count || rows.Offset != len(pks) {
			t.Fatalf("%+v: %d rows from %d on, of %d; want from %d on, of %d", q, len(rows.Rows), rows.Offset, rows.Count, len(pks), count)
		}
		pks = append(pks, pksOf(rows.Rows)...)
		if !rows.More {
			return pks
		}
		q.After = &upstream.Position{PK: pks[len(pks)-1], Offset: len(pks) - 1}
	}
	t.Fatal("no end")
	return nil
}

// TestPageWithADeletedRow deletes a row after authentik has counted and before it selects. A page that is
// not the last then has fewer rows than its size.
func TestPageWithADeletedRow(t *testing.T) {
	rows := func(from, n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"pk":%d,"provider":{"pk":1},"user":{"pk":1}}`, from-i)
		}
		return strings.Join(list, ",")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"pagination":{"count":100,"current":1,"total_pages":5,"start_index":1,"end_index":20,"next":2,"previous":0},"results":[%s]}`, rows(100, 19))
	}))
	defer server.Close()
	list, err := client(t, server.URL).List(t.Context(), alice, upstream.AuthorizationCodes, upstream.Query{First: 10, MaxCalls: 1}, nil)
	if err != nil || len(list.Value.Rows) != 10 || !list.Value.More {
		t.Errorf("%+v, error %v", list.Value, err)
	}
}

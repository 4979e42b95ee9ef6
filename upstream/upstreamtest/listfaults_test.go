package upstreamtest_test

import (
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

func TestScopeOfResourceFaults(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	for _, resource := range upstreamtest.Resources() {
		for _, pk := range []int32{17, 18} {
			addRow(fake, resource, upstreamtest.Code{PK: pk, Owner: upstreamtest.UserAlice, Expires: anHourAhead})
		}
	}
	srv := start(t, fake)
	const ready = "/-/health/ready/"
	check := func(step string, want map[string]int) {
		t.Helper()
		for path, status := range want {
			if got, _, _ := send(t, http.MethodGet, srv.URL+path, bearer(upstreamtest.TokenAlice)); got != status {
				t.Errorf("%s: %s: %d, want %d", step, path, got, status)
			}
		}
	}
	a, r := access.Path(), refresh.Path()
	fake.SetFault(17, upstreamtest.BadRequest400)
	check("a code", map[string]int{codes.Path() + "17/": 400, a + "17/": 200, r + "17/": 200})
	fake.SetResourceFault(access, 17, upstreamtest.Throttled429)
	check("a token", map[string]int{codes.Path() + "17/": 400, a + "17/": 429, a + "18/": 200, a: 200, r + "17/": 200})
	fake.SetListFault(access, upstreamtest.Starting503JSON)
	check("a list", map[string]int{a: 503, a + "?page=1": 503, a + "17/": 429, a + "18/": 200, r: 200, codes.Path(): 200})
	fake.SetResourceFault(access, upstreamtest.AllRequests, upstreamtest.Forbidden403)
	check("a resource", map[string]int{a: 503, a + "17/": 429, a + "18/": 403, a + "abc/": 403, r: 200, r + "18/": 200, codes.Path() + "18/": 200, ready: 200})
	fake.SetFault(upstreamtest.AllRequests, upstreamtest.Error500)
	check("all", map[string]int{a: 503, a + "17/": 429, a + "18/": 403, r: 500, r + "18/": 500, codes.Path() + "17/": 400, ready: 200})
	fake.SetListFault(access, upstreamtest.Fault{})
	check("list cleared", map[string]int{a: 403, a + "17/": 429})
	fake.ClearFaults()
	check("cleared", map[string]int{a: 200, a + "17/": 200, a + "18/": 200, r: 200, codes.Path() + "17/": 200})
}

func TestListFaults(t *testing.T) {
	wants := map[string]struct {
		status int
		body   string
	}{
		"list-page-gone":     {404, `{"detail":"Invalid page."}`},
		"list-no-pagination": {200, `{"results":[]}`},
		"list-no-results":    {200, `{"pagination":{"next":0,"previous":0,"count":1,"current":1,"total_pages":1,"start_index":1,"end_index":1},"results":{}}`},
		"list-row-no-pk":     {200, `{"pagination":{"next":0,"previous":0,"count":1,"current":1,"total_pages":1,"start_index":1,"end_index":1},"results":[{"scope":[]}]}`},
		"list-no-end":        {200, `{"pagination":{"next":10,"previous":0,"count":1,`},
	}
	for _, fault := range upstreamtest.ListFaults() {
		t.Run(fault.Name, func(t *testing.T) {
			w, known := wants[fault.Name]
			if !known {
				t.Fatal("not in the table")
			}
			fake := upstreamtest.New(upstreamtest.Options{})
			fake.AddToken(refresh, upstreamtest.Token{PK: 17, Owner: upstreamtest.UserAlice, Expires: anHourAhead})
			fake.SetListFault(refresh, fault)
			srv := start(t, fake)
			status, _, body := send(t, http.MethodGet, srv.URL+refresh.Path()+"?page=9&page_size=1", bearer(upstreamtest.TokenAlice))
			if status != w.status || !strings.HasPrefix(string(body), w.body) {
				t.Errorf("%d %.200s, want %d %s", status, body, w.status, w.body)
			}
			parse(t, body)
			if fault.Name == upstreamtest.ListNoEnd.Name && !strings.Contains(string(body), `"results":[{"pk":17,`) {
				t.Errorf("not the first page: %.300s", body)
			}
		})
		delete(wants, fault.Name)
	}
	if len(wants) != 0 {
		t.Errorf("not in ListFaults: %v", wants)
	}
}

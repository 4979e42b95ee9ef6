package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// addCodes adds a user's codes that live for an hour, and returns their keys.
func addCodes(up *upstreamtest.Authentik, owner string, n int) (pks []int32) {
	for range n {
		pks = append(pks, up.AddCode(upstreamtest.Code{Owner: owner, Expires: time.Now().Add(time.Hour), Scope: []string{"openid"}}))
	}
	return pks
}

// listPage is a page of a list in a response.
type listPage struct {
	Nodes      []struct{ ID, FetchedAt string }
	TotalCount int
	PageInfo   struct {
		HasNextPage bool
		EndCursor   string
	}
}

func (l listPage) ids() (ids []string) {
	for _, node := range l.Nodes {
		ids = append(ids, node.ID)
	}
	return ids
}

const listFields = `{ nodes { id fetchedAt } totalCount pageInfo { hasNextPage endCursor } }`

// listOf decodes the list of a response without errors.
func listOf(t *testing.T, r reply) listPage {
	t.Helper()
	var data struct{ List *listPage }
	if err := json.Unmarshal(r.Data, &data); err != nil || len(r.Errors) > 0 || data.List == nil {
		t.Fatalf("no list: %v, %s", err, r.Body)
	}
	return *data.List
}

// ask asks for a list, such as authorizationCodes(first: 5).
func ask(t *testing.T, a *instance, token, field string) reply {
	t.Helper()
	return query(t, a.URL, token, "{ list: "+field+" "+listFields+" }")
}

// TestListsAreCached: lists are cached by caller and arguments.
func TestListsAreCached(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	up.AddToken(upstreamtest.AccessTokens, upstreamtest.Token{Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	calls := 0
	for _, tt := range []struct {
		token, field string
		again        bool
		ids          string
	}{
		{upstreamtest.TokenAlice, "authorizationCodes", false, "17"},
		{upstreamtest.TokenAlice, "authorizationCodes", true, "17"},
		{upstreamtest.TokenAlice, "authorizationCodes(first: 20, order: NEWEST_FIRST, user: null)", true, "17"},
		{upstreamtest.TokenBob, "authorizationCodes", false, "18"},
		{upstreamtest.TokenRoot, "authorizationCodes", false, "18 17"},
		{upstreamtest.TokenRoot, "authorizationCodes(first: 19)", false, "18 17"},
		{upstreamtest.TokenRoot, "authorizationCodes(order: OLDEST_FIRST)", false, "17 18"},
		{upstreamtest.TokenRoot, "authorizationCodes(user: 101)", false, "17"},
		{upstreamtest.TokenRoot, "authorizationCodes(provider: 2)", false, "18"},
		{upstreamtest.TokenRoot, "authorizationCodes(user: 101, provider: 2)", false, ""},
		{upstreamtest.TokenRoot, "authorizationCodes(user: 101)", true, "17"},
		{upstreamtest.TokenAlice, "accessTokens", false, "1"},
		{upstreamtest.TokenAlice, "refreshTokens", false, ""},
		{upstreamtest.TokenAlice, "refreshTokens", true, ""},
		{upstreamtest.TokenAlice, "authorizationCodes", true, "17"},
		{upstreamtest.TokenBob, "authorizationCodes", true, "18"},
	} {
		got := ask(t, a, tt.token, tt.field)
		if ids := strings.Join(listOf(t, got).ids(), " "); ids != tt.ids {
			t.Errorf("%s of %s: %q, want %q", tt.field, tt.token, ids, tt.ids)
		}
		if !tt.again {
			calls++
		}
		if n := up.Calls().List; n != calls {
			t.Errorf("%s of %s: %d calls, want %d", tt.field, tt.token, n, calls)
			calls = n
		}
		if status := got.Header.Get("Cache-Status"); strings.HasPrefix(status, "authentik-graphql; hit") != tt.again {
			t.Errorf("%s of %s: Cache-Status %q", tt.field, tt.token, status)
		}
	}
}

// hold is a fault whose answer is made at once and sent after letGo. held receives a value for each.
func hold() (f upstreamtest.Fault, held <-chan struct{}, letGo func()) {
	began, released := make(chan struct{}, 1000), make(chan struct{})
	return upstreamtest.Fault{Name: "hold", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		began <- struct{}{}
		select {
		case <-released:
		case <-r.Context().Done():
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}}, began, sync.OnceFunc(func() { close(released) })
}

// TestListsAreCoalesced: twenty simultaneous requests make one call.
func TestListsAreCoalesced(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{})
	f, held, letGo := hold()
	up.SetListFault(upstreamtest.AuthorizationCodes, f)
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if got := ask(t, a, upstreamtest.TokenAlice, "authorizationCodes"); len(got.Errors) > 0 {
				t.Errorf("%s", got.Body)
			}
		})
	}
	<-held
	letGo()
	asking.Wait()
	if n := up.Calls().List; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// fetchedAt reads a code and returns when it was fetched.
func fetchedAt(t *testing.T, a *instance, token string, pk int32) string {
	t.Helper()
	got := query(t, a.URL, token, fmt.Sprintf(`{ authorizationCode(id: %d) { fetchedAt } }`, pk))
	var data struct{ AuthorizationCode struct{ FetchedAt string } }
	if err := json.Unmarshal(got.Data, &data); err != nil || len(got.Errors) > 0 {
		t.Errorf("%v, %s", err, got.Body)
	}
	return data.AuthorizationCode.FetchedAt
}

// TestListsPrimeReads: the caller of a list can read each of its rows without a call, with its fetchedAt.
func TestListsPrimeReads(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	older := fetchedAt(t, a, upstreamtest.TokenAlice, 17)
	up.ResetCalls()
	page := listOf(t, ask(t, a, upstreamtest.TokenAlice, "authorizationCodes"))
	if got := fetchedAt(t, a, upstreamtest.TokenAlice, 17); got != page.Nodes[0].FetchedAt || got <= older {
		t.Errorf("fetched at %s, the list at %s, the row before at %s", got, page.Nodes[0].FetchedAt, older)
	}
	if n := up.Calls(); n.Retrieve != 0 || n.List != 1 {
		t.Errorf("%d retrieves and %d lists", n.Retrieve, n.List)
	}
	listOf(t, ask(t, a, upstreamtest.TokenRoot, "authorizationCodes"))
	if fetchedAt(t, a, upstreamtest.TokenRoot, 18); up.Calls().Retrieve != 0 {
		t.Error("root's list does not prime root's reads")
	}
	if got := query(t, a.URL, upstreamtest.TokenBob, aliceCode); got.Codes() != "NOT_FOUND" || up.Retrieves(17) != 1 {
		t.Errorf("bob, %d retrieves: %s", up.Retrieves(17), got.Body)
	}
}

// TestListsPrimeNothingOlder: a list does not replace a newer read of a row.
func TestListsPrimeNothingOlder(t *testing.T) {
	var a *instance
	var up *fake
	var pks []int32
	between := ""
	var once sync.Once
	up = startFake(t, upstreamtest.Options{MaxPageSize: 3, OnRequest: func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/authorization_codes/") && r.URL.Query().Get("page") != "1" {
			once.Do(func() { between = fetchedAt(t, a, upstreamtest.TokenAlice, pks[len(pks)-1]) })
		}
	}})
	pks = addCodes(up.Authentik, upstreamtest.UserAlice, 5)
	a = startApp(t, nil, "AUTHENTIK_URL="+up.URL, "CACHE_TTL=1h")
	fetchedAt(t, a, upstreamtest.TokenAlice, pks[0]) // an unknown token may make only one call at a time
	page := listOf(t, ask(t, a, upstreamtest.TokenAlice, "authorizationCodes"))
	if len(page.Nodes) != 5 || up.Calls().List < 2 {
		t.Fatalf("%d rows by %d calls", len(page.Nodes), up.Calls().List)
	}
	if between <= page.Nodes[0].FetchedAt {
		t.Fatalf("fetched at %s, the list at %s", between, page.Nodes[0].FetchedAt)
	}
	if got := fetchedAt(t, a, upstreamtest.TokenAlice, pks[len(pks)-1]); got != between {
		t.Errorf("fetched at %s; want %s, which is later than the list, %s", got, between, page.Nodes[0].FetchedAt)
	}
	for _, node := range page.Nodes { // a list is as old as the first of its pages
		if node.FetchedAt != page.Nodes[0].FetchedAt {
			t.Errorf("row %s was fetched at %s, the first at %s", node.ID, node.FetchedAt, page.Nodes[0].FetchedAt)
		}
	}
}

// TestListsAreRedacted: redacted fields are null in lists, in tokens and in reads that lists prime.
func TestListsAreRedacted(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "REDACT=User.email,AccessToken.claims,OAuth2Provider.name", "CACHE_TTL=1h")
	for _, resource := range []upstreamtest.Resource{upstreamtest.AccessTokens, upstreamtest.RefreshTokens} {
		up.AddToken(resource, upstreamtest.Token{PK: 5, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: time.Now().Add(time.Hour), IDToken: `{"a": 1}`})
	}
	const row = `provider { name clientSecret slug: assignedApplicationSlug } user { email username }`
	for _, tt := range []struct{ document, want string }{
		{`{ authorizationCodes { nodes { ` + row + ` } } }`, `{"authorizationCodes":{"nodes":[{"provider":{"name":null,"clientSecret":null,"slug":"grafana"},"user":{"email":null,"username":"alice"}}]}}`},
		{`{ accessTokens { edges { node { claims ` + row + ` } } } }`, `{"accessTokens":{"edges":[{"node":{"claims":null,"provider":{"name":null,"clientSecret":null,"slug":"grafana"},"user":{"email":null,"username":"alice"}}}]}}`},
		{`{ accessToken(id: 5) { claims ` + row + ` } }`, `{"accessToken":{"claims":null,"provider":{"name":null,"clientSecret":null,"slug":"grafana"},"user":{"email":null,"username":"alice"}}}`},
		{`{ refreshTokens { nodes { claims ` + row + ` } } }`, `{"refreshTokens":{"nodes":[{"claims":{"a": 1},"provider":{"name":null,"clientSecret":null,"slug":"grafana"},"user":{"email":null,"username":"alice"}}]}}`},
		{`{ refreshToken(id: 5) { claims ` + row + ` } }`, `{"refreshToken":{"claims":{"a": 1},"provider":{"name":null,"clientSecret":null,"slug":"grafana"},"user":{"email":null,"username":"alice"}}}`},
	} {
		if got := query(t, a.URL, upstreamtest.TokenAlice, tt.document); strings.ReplaceAll(string(got.Data), " ", "") != strings.ReplaceAll(tt.want, " ", "") {
			t.Errorf("got  %s\nwant %s", got.Data, tt.want)
		}
	}
	if n := up.Calls(); n.Retrieve != 0 || n.List != 3 {
		t.Errorf("%d retrieves and %d lists, want 0 and 3", n.Retrieve, n.List)
	}
}

// TestFreshnessOfLists: lists state their age as single reads do, and are shown stale when authentik fails.
func TestFreshnessOfLists(t *testing.T) {
	t.Parallel()
	_, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	const document = `{ list: authorizationCodes ` + listFields + ` }`
	fresh := query(t, a.URL, upstreamtest.TokenAlice, document)
	wantHeader(t, fresh, "Cache-Status", "authentik-graphql; fwd=miss")
	hit := query(t, a.URL, upstreamtest.TokenAlice, document)
	if status := hit.Header.Get("Cache-Status"); !strings.HasPrefix(status, "authentik-graphql; hit; ttl=3") {
		t.Errorf("Cache-Status %q", status)
	}
	for _, r := range []reply{fresh, hit} {
		if cc := r.Header.Get("Cache-Control"); !strings.HasPrefix(cc, "private, max-age=3") || cacheExtension(t, r) != nil {
			t.Errorf("Cache-Control %q, %s", cc, r.Body)
		}
		if age, err := strconv.Atoi(r.Header.Get("Age")); err != nil || age < 0 || age > 60 {
			t.Errorf("Age %q", r.Header.Get("Age"))
		}
	}
	// A list beside a code that does not exist.
	both := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCodes { totalCount } authorizationCode(id: 99) { id } }`)
	wantHeader(t, both, "Cache-Control", "no-store")

	up, failing := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=100ms")
	fresh = query(t, failing.URL, upstreamtest.TokenAlice, document)
	up.SetListFault(upstreamtest.AuthorizationCodes, upstreamtest.Error500)
	stale := askUntil(t, failing.URL, upstreamtest.TokenAlice, document, "fwd=stale; detail=stale-if-error")
	wantHeader(t, stale, "Cache-Control", "no-store")
	if says := cacheExtension(t, stale); string(stale.Data) != string(fresh.Data) || says["status"] != "STALE" || says["reason"] != "stale-if-error" {
		t.Errorf("%s", stale.Body)
	}
	if got := ask(t, failing, upstreamtest.TokenAlice, "authorizationCodes(first: 3)"); got.Codes() != "UPSTREAM_ERROR" {
		t.Errorf("a list that was never read: %s", got.Body)
	}
	if got := ask(t, failing, upstreamtest.TokenRoot, "authorizationCodes"); got.Codes() != "UPSTREAM_ERROR" {
		t.Errorf("another caller's: %s", got.Body)
	}
	up.ClearFaults()
	askUntil(t, failing.URL, upstreamtest.TokenAlice, document, "fwd=stale")
}

// TestListsKnowTheTime: isExpired of a cached row is computed when it is shown. A list is not shown stale if
// it has a row for which that cannot be computed.
func TestListsKnowTheTime(t *testing.T) {
	t.Parallel()
	up := startFake(t, upstreamtest.Options{})
	ends := time.Now().Add(1500 * time.Millisecond)
	up.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: ends})
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "CACHE_TTL=1h")
	cachetest.Eventually(t, "the row is shown as expired", func() bool {
		began := time.Now()
		got := query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCodes { nodes { isExpired } } }`)
		expired := strings.Contains(string(got.Data), `"isExpired":true`)
		if expired && time.Now().Before(ends) || !expired && !began.Before(ends) || len(got.Errors) > 0 {
			t.Fatalf("%s after its end: %s", time.Since(ends), got.Body)
		}
		return expired
	})
	if n := up.Calls().List; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}

	a = startApp(t, nil, "AUTHENTIK_URL="+up.URL, "CACHE_TTL=50ms", "CACHE_STALE_IF_ERROR=1h")
	up.AddCode(upstreamtest.Code{Owner: upstreamtest.UserBob, Expires: time.Now().Add(-time.Hour), NeverExpires: true})
	for _, token := range []string{upstreamtest.TokenAlice, upstreamtest.TokenBob} {
		listOf(t, ask(t, a, token, "authorizationCodes"))
	}
	up.SetListFault(upstreamtest.AuthorizationCodes, upstreamtest.Error500)
	askUntil(t, a.URL, upstreamtest.TokenAlice, "{ list: authorizationCodes "+listFields+" }", "fwd=stale; detail=stale-if-error")
	cachetest.Eventually(t, "a list that only authentik can judge is an error", func() bool {
		got := ask(t, a, upstreamtest.TokenBob, "authorizationCodes")
		if status := got.Header.Get("Cache-Status"); strings.Contains(status, "stale") {
			t.Fatalf("it is shown stale: %s", got.Body)
		}
		return got.Codes() == "UPSTREAM_ERROR"
	})
}

// TestListFailures has a row for each failure of a list, with the number of calls.
func TestListFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault       upstreamtest.Fault
		field, code string
		message     string
		calls       int
	}{
		"an unknown user":     {field: "authorizationCodes(user: 999999)", code: "BAD_USER_INPUT", message: "authentik rejects the field: user.", calls: 1},
		"an unknown provider": {field: "authorizationCodes(provider: 999999)", code: "BAD_USER_INPUT", message: "authentik rejects the field: provider.", calls: 1},
		"both":                {field: "authorizationCodes(user: 999999, provider: 999999)", code: "BAD_USER_INPUT", message: "authentik rejects the fields: user, provider.", calls: 1},
		"no user":             {field: `authorizationCodes(user: "x")`, code: "BAD_USER_INPUT", calls: 0},
		"another's user":      {field: "authorizationCodes(user: 102)", calls: 1},
		"forbidden":           {fault: upstreamtest.Forbidden403, code: "FORBIDDEN", calls: 1},
		"the token":           {fault: upstreamtest.TokenInvalid403, code: "UNAUTHENTICATED", calls: 1},
		"a limit":             {fault: upstreamtest.Throttled429, code: "RATE_LIMITED", calls: 1},
		"a failure":           {fault: upstreamtest.Error500, code: "UPSTREAM_ERROR", calls: 1},
		"no first page":       {fault: upstreamtest.ListPageGone, code: "UPSTREAM_INVALID_RESPONSE", calls: 1},
		"no list":             {fault: upstreamtest.ListNoPagination, code: "UPSTREAM_INVALID_RESPONSE", calls: 1},
		"a page":              {fault: upstreamtest.HTML200, code: "UPSTREAM_INVALID_RESPONSE", calls: 1},
		"a wrong path":        {fault: upstreamtest.HTML404, code: "UPSTREAM_INVALID_RESPONSE", calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			up, a := newWorld(t, upstreamtest.Options{})
			up.SetListFault(upstreamtest.AuthorizationCodes, tt.fault)
			if tt.field == "" {
				tt.field = "authorizationCodes"
			}
			for range 2 { // the second response is cached
				got := ask(t, a, upstreamtest.TokenAlice, tt.field)
				if got.Codes() != tt.code || tt.message != "" && got.Errors[0].Message != tt.message {
					t.Errorf("%s", got.Body)
				}
			}
			if n := up.Calls().List; n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
		})
	}
	_, a := newWorld(t, upstreamtest.Options{})
	if got := ask(t, a, "", "authorizationCodes"); got.Codes() != "UNAUTHENTICATED" {
		t.Errorf("without a token: %s", got.Body)
	}
}

// TestPagingWhileRowsComeAndGo walks lists while rows are added and removed before every call of authentik.
// No row is repeated, and none that exists throughout is left out.
func TestPagingWhileRowsComeAndGo(t *testing.T) {
	t.Parallel()
	for _, release := range upstreamtest.Releases() {
		for name, o := range map[string]upstreamtest.Options{
			"as it comes": {Release: release}, "small pages": {Release: release, PageSize: 5, MaxPageSize: 7},
		} {
			t.Run(string(release)+", "+name, func(t *testing.T) {
				random := rand.New(rand.NewPCG(1, uint64(len(release)+len(name))))
				var mu sync.Mutex
				var up *fake
				var mortal []int32
				o.OnRequest = func(r *http.Request) {
					if !strings.HasSuffix(r.URL.Path, "/authorization_codes/") {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					mortal = append(mortal, addCodes(up.Authentik, upstreamtest.UserAlice, random.IntN(3))...)
					for range random.IntN(4) {
						if n := len(mortal); n > 0 {
							i := random.IntN(n)
							up.RemoveCode(mortal[i])
							mortal = slices.Delete(mortal, i, i+1)
						}
					}
				}
				up = startFake(t, o)
				a := startApp(t, nil, "AUTHENTIK_URL="+up.URL)
				var lasting []int32
				for i, pk := range addCodes(up.Authentik, upstreamtest.UserAlice, 120) {
					if i%3 == 0 {
						lasting = append(lasting, pk)
					} else {
						mortal = append(mortal, pk)
					}
				}
				for _, first := range []int{1 + random.IntN(4), 13, 20, 50, 100} {
					for _, order := range []string{"NEWEST_FIRST", "OLDEST_FIRST"} {
						seen := walkList(t, a, first, order)
						for _, pk := range lasting {
							if !slices.Contains(seen, pk) {
								t.Errorf("first %d, %s: row %d is left out", first, order, pk)
							}
						}
						if order == "NEWEST_FIRST" {
							slices.Reverse(seen)
						}
						if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
							t.Errorf("first %d, %s: not in order, or repeated: %v", first, order, seen)
						}
					}
				}
			})
		}
	}
}

// walkList reads alice's codes page by page.
func walkList(t *testing.T, a *instance, first int, order string) (pks []int32) {
	t.Helper()
	after := ""
	for range 400 {
		page := listOf(t, ask(t, a, upstreamtest.TokenAlice, fmt.Sprintf("authorizationCodes(first: %d, order: %s%s)", first, order, after)))
		for _, id := range page.ids() {
			pk, err := strconv.ParseInt(id, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			pks = append(pks, int32(pk))
		}
		if !page.PageInfo.HasNextPage {
			return pks
		}
		if len(page.Nodes) != first {
			t.Errorf("%d rows on a page of %d that is not the last", len(page.Nodes), first)
		}
		after = fmt.Sprintf(`, after: "%s"`, page.PageInfo.EndCursor)
	}
	t.Fatal("no end")
	return nil
}

// TestListOverTheCallBudget: a list that takes more calls than an operation may make is an error without
// data.
func TestListOverTheCallBudget(t *testing.T) {
	up := startFake(t, upstreamtest.Options{PageSize: 1, MaxPageSize: 1})
	addCodes(up.Authentik, upstreamtest.UserAlice, 10)
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "OPERATION_UPSTREAM_CALLS=3", "CACHE_TTL=1h")
	got := ask(t, a, upstreamtest.TokenAlice, "authorizationCodes(first: 10)")
	if got.Codes() != "UPSTREAM_UNAVAILABLE" || string(got.Data) != `{"list":null}` || got.Errors[0].Extensions.RetryAfter < 1 ||
		!strings.HasPrefix(got.Errors[0].Message, "The list takes more calls") {
		t.Errorf("%s", got.Body)
	}
	wantHeader(t, got, "Cache-Control", "no-store")
	if n := up.Calls().List; n > 3 {
		t.Errorf("%d calls, want 3 at most", n)
	}
	if page := listOf(t, ask(t, a, upstreamtest.TokenAlice, "authorizationCodes(first: 2)")); len(page.Nodes) != 2 || !page.PageInfo.HasNextPage {
		t.Errorf("within the budget: %+v", page)
	}
}

// TestListsShareTheCallBudget: the lists of an operation share its calls.
func TestListsShareTheCallBudget(t *testing.T) {
	up := startFake(t, upstreamtest.Options{PageSize: 1, MaxPageSize: 1})
	addCodes(up.Authentik, upstreamtest.UserAlice, 30)
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "OPERATION_UPSTREAM_CALLS=20", "CACHE_TTL=1h")
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "a%d: authorizationCodes(first: %d) { totalCount } ", i, i+5)
	}
	got := query(t, a.URL, upstreamtest.TokenAlice, "{ "+b.String()+" }")
	if n := up.Calls().List; n > 20+2*20 || !strings.Contains(got.Codes(), "UPSTREAM_UNAVAILABLE") {
		t.Errorf("%d calls, want 60 at most: %s", n, got.Body)
	}
	// Another operation has calls of its own.
	if page := listOf(t, ask(t, a, upstreamtest.TokenAlice, "authorizationCodes(first: 2)")); len(page.Nodes) != 2 {
		t.Errorf("another operation: %+v", page)
	}
}

// TestListMaxAge: max-age of a list does not exceed the life of a row.
func TestListMaxAge(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	up.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: time.Now().Add(30 * time.Second)})
	for range 2 { // from authentik and from the cache
		got := ask(t, a, upstreamtest.TokenAlice, "authorizationCodes")
		if control := got.Header.Get("Cache-Control"); !strings.HasPrefix(control, "private, max-age=2") || len(control) != len("private, max-age=29") {
			t.Errorf("Cache-Control is %q", control)
		}
	}
}

// TestCursorHintIsNoKey: pages after the same row are cached as one, whatever offset their cursors hint at.
func TestCursorHintIsNoKey(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{}, "CACHE_TTL=1h")
	addCodes(up.Authentik, upstreamtest.UserAlice, 9)
	searched := 0
	for offset := range 5 {
		cursor := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "1.authorization_codes.n.20.%d", offset))
		if page := listOf(t, ask(t, a, upstreamtest.TokenAlice, fmt.Sprintf(`authorizationCodes(first: 1, after: "%s")`, cursor))); len(page.Nodes) != 1 {
			t.Fatalf("%+v", page)
		}
		if offset == 0 {
			searched = up.Calls().List
		}
	}
	if n := up.Calls().List; n != searched {
		t.Errorf("%d calls for one page, the first time %d", n, searched)
	}

}
